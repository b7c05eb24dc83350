"""Ranking without any scores: how far the predictors agree on an auxiliary language, each with the same weight."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from iglue_plugins.advice.features import Features
from iglue_plugins.advice.ranking import SMALL, centre

RESAMPLES = 1000
MIN_PREDICTORS = 3  # fewer agree by chance

Floats = NDArray[np.float64]


def votes(features: Features, target: int, candidates: Sequence[int]) -> Floats:
    """Compute what each predictor says for each candidate, in the direction that is expected to help.

    Args:
        features: The predictors.
        target: The target language.
        candidates: K auxiliary languages.

    Returns:
        (P, K) standard deviations of the candidates from their mean; 0 where a predictor knows no candidate or tells
        none from another.
    """
    centred = centre(features.values[:, list(candidates), target])
    deviations = centred.std(-1, keepdims=True)
    signs = np.array([predictor.sign for predictor in features.predictors])
    return signs[:, None] * centred / np.where(deviations > SMALL, deviations, 1)


def resampled_advantages(of_predictors: Floats, seed: int = 0) -> Floats:
    """Draw predictors with replacement, and compute the advantages that they agree on.

    Args:
        of_predictors: (P, L) what each predictor says; NaN for languages that are no candidates.
        seed: The seed of the draws.

    Returns:
        (resamples, L) advantages over the median candidate.
    """
    count = len(of_predictors)
    draws = np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))
    means = of_predictors[draws].mean(1)
    return means - np.nanmedian(means, 1, keepdims=True)
