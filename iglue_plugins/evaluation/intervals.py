"""Bootstrap intervals of mean scores, by language and over several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from iglue_plugins.evaluation.clusters import ClusterGroup
from iglue_plugins.evaluation.resampling import resample_means
from iglue_plugins.evaluation.significance import COVERAGE, RESAMPLES


@dataclass(frozen=True)
class MeanScore:
    """A mean score with its 95 % interval, all in per cent.

    Attributes:
        mean: The mean.
        low: The lower bound.
        high: The upper bound.
    """

    mean: float
    low: float
    high: float


def mean_scores(
    scores: Mapping[str, ArrayLike],
    means: Sequence[Sequence[str]],
    groups: Sequence[ClusterGroup],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[MeanScore]:
    """Compute means of the scores of one model over languages, with percentile intervals.

    Each resample draws clusters of examples with replacement, as `significance.paired_bootstrap` does. The intervals
    are of the examples alone: what another seed of the training would give is not in them.

    Args:
        scores: For each language (examples,) float in [0, 1].
        means: The languages of each mean, in which all languages weigh the same.
        groups: The clusters of the examples, in the order of the scores.
        resamples: The number of resamples.
        seed: The seed of the draws.

    Returns:
        A score for each of `means`.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13; Field and Welsh 2007, Journal of
    the Royal Statistical Society B 69 (clusters).
    """
    by_language = {name: np.asarray(of_language, dtype=np.float64)[None] for name, of_language in scores.items()}
    rows = [{name: by_language[name] for name in names} for names in means]
    resampled = resample_means(rows, groups, resamples, seed)
    low, high = np.quantile(resampled, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2], axis=1)
    observed = [np.mean([scores.mean() for scores in row.values()]) for row in rows]
    return [MeanScore(*points) for points in (100 * np.array([observed, low, high])).T.tolist()]
