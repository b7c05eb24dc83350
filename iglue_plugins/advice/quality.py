"""How good a ranking of auxiliary languages is: NDCG, and the points that its first choice loses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def ndcg(predicted: Floats, scores: Floats, places: int = 3) -> float:
    """Compute the normalized discounted cumulative gain of a ranking's first places.

    The gain of a candidate is its score in points above the worst one, so that candidates which are nearly as good are
    nearly as right. Candidates with equal predictions share their places, as if they were shuffled.

    Args:
        predicted: (K,) what the ranking sorts by, the largest first.
        scores: (K,) the true scores.
        places: How many places count.

    Returns:
        1 for the best ranking, and where all scores are equal; what a random one has is above 0.

    Source:
        Järvelin and Kekäläinen 2002; ties as McSherry and Najork 2008.
    """
    gains = scores - scores.min()
    discounts = 1 / np.log2(np.arange(2, len(gains) + 2))
    discounts[places:] = 0
    best = float(np.sort(gains)[::-1] @ discounts)
    return float(_mean_of_ties(predicted, gains) @ discounts) / best if best > 0 else 1.0


def regret(predicted: Floats, scores: Floats) -> float:
    """Compute the points that the first choice of a ranking loses against the best candidate.

    Args:
        predicted: (K,) what the ranking sorts by, the largest first.
        scores: (K,) the true scores.

    Returns:
        0 or more; of several first choices the mean.
    """
    return float(scores.max() - scores[predicted == predicted.max()].mean())


def _mean_of_ties(predicted: Floats, gains: Floats) -> Floats:
    """Return gains in the order of the predictions, those of equal predictions replaced by their mean."""
    values, group = np.unique(-predicted, return_inverse=True)
    means = np.bincount(group, gains, len(values)) / np.bincount(group, minlength=len(values))
    return means[np.sort(group)]


def mean_interval(values: Floats, resamples: int = 2000, seed: int = 0) -> tuple[float, float, float]:
    """Compute a mean over targets with its 95 % interval, by a bootstrap over the targets.

    Args:
        values: (targets,) a value for each.
        resamples: The number of resamples.
        seed: The seed of the draws.

    Returns:
        The mean, and the ends of the interval.
    """
    draws = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    low, high = np.percentile(values[draws].mean(1), (2.5, 97.5))
    return float(values.mean()), float(low), float(high)
