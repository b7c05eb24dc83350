"""Differences between rows of runs, with their bootstrap intervals and what follows from these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from iglue_plugins.evaluation.clusters import ClusterGroup
from iglue_plugins.evaluation.resampling import Floats, resample_means

RESAMPLES = 2000
COVERAGE = 0.95
EQUIVALENCE_COVERAGE = 0.90
POWER = 0.80

Verdict = Literal["equivalent", "no worse", "better", "worse", "undecided"]


@dataclass(frozen=True)
class Difference:
    """A difference of two rows with its intervals, all in points (differences of percentages).

    Attributes:
        difference: The observed difference.
        low: The lower bound of its own 95 % interval.
        high: The upper bound of its own 95 % interval.
        corrected_low: The lower bound of its simultaneous 95 % interval: those of all differences compared hold at once
            with this probability. With one difference it is `low`.
        corrected_high: The upper bound of its simultaneous interval.
        equivalence_low: The lower bound of its 90 % interval, by which `verdict` judges.
        equivalence_high: The upper bound of its 90 % interval.
        standard_error: The standard deviation of the resampled differences.
        compared: The number of differences that the simultaneous interval is for: one for each row, and in slices one
            for each slice and slope too.
    """

    difference: float
    low: float
    high: float
    corrected_low: float
    corrected_high: float
    equivalence_low: float
    equivalence_high: float
    standard_error: float
    compared: int = field(default=1, kw_only=True)

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole 95 % interval is above or below 0."""
        return self.low > 0 or self.high < 0

    @property
    def excludes_zero_corrected(self) -> bool:
        """Whether the whole simultaneous 95 % interval is above or below 0."""
        return self.corrected_low > 0 or self.corrected_high < 0

    @property
    def detectable(self) -> float:
        """The true difference that a two-sided test at 5 % finds with a power of 80 %: 2.80 standard errors."""
        normal = NormalDist()
        return (normal.inv_cdf((1 + COVERAGE) / 2) + normal.inv_cdf(POWER)) * self.standard_error

    def verdict(self, margin: float) -> Verdict:
        """Judge the difference against a margin by its 90 % interval.

        Two one-sided tests at 5 %, one against -margin and one against +margin, are equivalent to a look at the 90 %
        interval.

        Args:
            margin: The largest difference that does not matter, in points, above 0.

        Returns:
            'equivalent' if the interval is within the margins; 'no worse' if it is above -margin and holds +margin;
            'better' or 'worse' if it is above +margin or below -margin; 'undecided' if it holds -margin.

        Source: Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15; Lakens 2017, Social Psychological
        and Personality Science 8.
        """
        if self.equivalence_high < -margin:
            return "worse"
        if self.equivalence_low <= -margin:
            return "undecided"
        if self.equivalence_low > margin:
            return "better"
        return "equivalent" if self.equivalence_high < margin else "no worse"


def paired_bootstrap(
    first: Mapping[str, ArrayLike],
    others: Sequence[Mapping[str, ArrayLike]],
    groups: Sequence[ClusterGroup],
    *,
    weights: Mapping[str, float] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Difference]:
    """Compute the differences of rows' mean scores to that of the first row, with percentile intervals.

    A row's mean score is the mean over its languages of the mean over seeds and examples. Each resample draws clusters
    of examples and seeds with replacement: in each group of languages as many clusters as it has, among them all, and
    as many seeds as there are. The draw is paired: the same clusters for the first row and for all others, for every
    seed and for every language of the group, and the same seeds for all rows and languages. A language's mean is a
    ratio: the sum of the scores of the drawn examples by their number, which varies with the drawn clusters. A language
    none of whose examples is drawn, which can happen if it has a few clusters of a larger group, keeps its observed
    mean in that resample. Groups are drawn independently of each other. With one seed only clusters are drawn.

    The percentile interval of a handful of seeds or clusters is on the narrow side: the spread of n resampled seeds is
    the sample's times sqrt((n - 1) / n).

    The simultaneous intervals of several rows come from the same resamples, and so take into account that the rows'
    differences are correlated. They are percentile intervals at the largest tail probability, one for all rows, at
    which 95 % of the resamples lie within the intervals of all rows.

    Args:
        first: For each language (seeds, examples) float in [0, 1], the scores of the first row.
        others: The scores of each other row, in the same form, for the languages that its mean is over. Entry [s, i]
            belongs to the same seed and example as in `first`.
        groups: The clusters of the examples of all these languages, in the order of the scores.
        weights: The weight of each language, of sum 1, where a row's mean is a weighted one; all rows then have all
            these languages.
        resamples: The number of resamples.
        seed: The seed of the draws.

    Returns:
        The difference of each other row minus the first.

    Raises:
        ValueError: A row has no languages, or one that `first` or `groups` lack; shapes do not fit; or a score is
            outside [0, 1].

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13; Field and Welsh 2007, Journal of
    the Royal Statistical Society B 69 (clusters); Mandel and Betensky 2008, Computational Statistics and Data Analysis
    52 (simultaneous percentile intervals).
    """
    rows = [paired_differences(first, other, groups) for other in others]
    if not rows:
        return []
    observed = np.array([observed_mean(row, weights) for row in rows])
    return bootstrapped(observed, resample_means(rows, groups, resamples, seed, weights))


def bootstrapped(observed: Floats, resampled: Floats) -> list[Difference]:
    """Make differences with their intervals of resampled ones.

    Args:
        observed: (differences,) the observed differences, as shares.
        resampled: (differences, resamples) the same in each resample.

    Returns:
        The differences, whose simultaneous intervals are for all of them.
    """
    low, high = np.quantile(resampled, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2], axis=1)
    inner = np.quantile(resampled, [(1 - EQUIVALENCE_COVERAGE) / 2, (1 + EQUIVALENCE_COVERAGE) / 2], axis=1)
    outer = _simultaneous_bounds(resampled) if len(observed) > 1 else (low, high)
    bounds = (low, high, np.minimum(outer[0], low), np.maximum(outer[1], high), *inner)
    points = 100 * np.array([observed, *bounds, resampled.std(axis=1, ddof=1)])
    return [Difference(*of_row, compared=len(observed)) for of_row in points.T.tolist()]


def observed_mean(row: Mapping[str, Floats], weights: Mapping[str, float] | None = None) -> float:
    """Compute a row's mean over languages of the mean over seeds and examples.

    Args:
        row: For each language (seeds, examples).
        weights: The weight of each language, of sum 1; None: all weigh the same.
    """
    names = sorted(row)
    of_names = None if weights is None else [weights[name] for name in names]
    return float(np.average([row[name].mean() for name in names], weights=of_names))


def paired_differences(
    first: Mapping[str, ArrayLike], other: Mapping[str, ArrayLike], groups: Sequence[ClusterGroup]
) -> dict[str, Floats]:
    """Check the scores of two rows, and compute their differences.

    Args:
        first: For each language (seeds, examples) float in [0, 1], the scores of the first row.
        other: Those of the other row, in the same form.
        groups: The clusters of the examples of all these languages, in the order of the scores.

    Returns:
        For each language of the other row (seeds, examples) float64, other - first.

    Raises:
        ValueError: As `paired_bootstrap`.
    """
    a, b = (
        {name: np.asarray(side[name], dtype=np.float64) for name in other if name in side} for side in (other, first)
    )
    shapes_a, shapes_b = ({name: scores.shape for name, scores in side.items()} for side in (a, b))
    if shapes_a != shapes_b or not shapes_a:
        raise ValueError(
            f"the scores have shapes {shapes_a} and {shapes_b}; paired scores need the same languages, seeds "
            "and examples"
        )
    seeds = {shape[0] if shape else 0 for shape in shapes_a.values()}
    if len(seeds) > 1 or any(len(shape) != 2 or 0 in shape for shape in shapes_a.values()):
        raise ValueError(
            f"the scores have shapes {shapes_a}; each language's must be (seeds, examples), with the same seeds"
        )
    clustered = {name: (len(group.clusters[name]),) for group in groups for name in group.clusters}
    if any(clustered.get(name) != shape[1:] for name, shape in shapes_a.items()):
        raise ValueError(f"the scores have shapes {shapes_a}, but clusters are given for {clustered} examples")
    if not all(((0 <= scores) & (scores <= 1)).all() for scores in (*a.values(), *b.values())):
        raise ValueError("scores must be in [0, 1]")
    return {name: a[name] - b[name] for name in a}


def _simultaneous_bounds(resampled: Floats) -> tuple[Floats, Floats]:
    """Find the bounds (rows,) of percentile intervals, of one tail probability, that hold 95 % of the draws jointly.

    Args:
        resampled: (rows, resamples) the resampled differences.
    """
    ordered = np.sort(resampled, axis=1)
    resamples = resampled.shape[1]
    # A difference is within the bounds that cut off t values on each side if more than t values are no larger, and
    # more than t no smaller, than it is.
    depth = np.full(resamples, resamples)
    for values, sorted_values in zip(resampled, ordered, strict=True):
        no_larger = np.searchsorted(sorted_values, values, side="right")
        no_smaller = resamples - np.searchsorted(sorted_values, values, side="left")
        depth = np.minimum(depth, np.minimum(no_larger, no_smaller))
    outside = int(np.floor((1 - COVERAGE) * resamples + 1e-9))
    cut = int(np.sort(depth)[outside]) - 1
    return ordered[:, cut], ordered[:, resamples - 1 - cut]
