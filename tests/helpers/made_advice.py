"""Predictors and scores of made-up languages, of which the right ranking is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from iglue_plugins.advice.features import Features
from iglue_plugins.advice.matrix import TransferMatrix
from iglue_plugins.advice.predictors import Predictor

LANGUAGES = tuple("abcdefgh")


def features(count: int = 4, seed: int = 0, languages: Sequence[str] = LANGUAGES) -> Features:
    """Predictors p0, p1, ... of random values."""
    size = len(languages)
    values = np.random.default_rng(seed).normal(size=(count, size, size))
    predictors = tuple(Predictor(f"p{number}", 1, "{:.2f} of p" + str(number)) for number in range(count))
    return Features(tuple(languages), predictors, values, {})


def matrix(scores: np.ndarray, languages: Sequence[str] = LANGUAGES) -> TransferMatrix:
    """A matrix of (L, L) or (seeds, L, L) scores, whose diagonal is left out."""
    whole = np.array(scores, dtype=np.float64).reshape(-1, len(languages), len(languages))
    whole[:, np.eye(len(languages), dtype=bool)] = np.nan
    return TransferMatrix("made", tuple(languages), whole)


def candidates(target: int, size: int = len(LANGUAGES)) -> dict[int, list[int]]:
    return {target: [language for language in range(size) if language != target]}
