"""Slices of examples by a number that each example has: where they are cut, and the differences of rows in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from iglue_plugins.evaluation.clusters import ClusterGroup, cluster_weights
from iglue_plugins.evaluation.resampling import Floats, resample_means
from iglue_plugins.evaluation.significance import (
    RESAMPLES,
    Difference,
    bootstrapped,
    observed_mean,
    paired_differences,
)

LEAST = 30  # examples of each language in a slice of numbers
DIGITS = 9  # after the point, of a number of clusters, so that 20 equal ones are 20
MOST = 6  # slices by single numbers; where there would be more, numbers are cut at their terciles

Range = tuple[int, int]  # the smallest and the largest number of a slice
Numbers = NDArray[np.int64]


def cut_numbers(numbers: Mapping[str, Numbers], least: int = LEAST) -> list[Range]:
    """Cut examples by a number that means the same in every language, such as the objects of an image.

    Each number is a slice. From the smallest on, one with too few examples in some language is joined to the next, and
    the last one to the one before it. Where that leaves more than `MOST` slices, the numbers of all languages together
    are cut at their terciles instead, and too small slices are joined in the same way.

    Args:
        numbers: For each language (examples,) int64, the number of each example.
        least: The number of examples that each language has in each slice.

    Returns:
        The ranges, in increasing order; a single one where there is nothing to cut. Each number is in one of them.
    """
    together = np.concatenate(list(numbers.values()))
    joined = _joined([(number, number) for number in np.unique(together).tolist()], numbers, least)
    if len(joined) > MOST:
        joined = _joined(cut_terciles(together), numbers, least)
    return joined


def cut_terciles(numbers: Numbers) -> list[Range]:
    """Cut examples in three slices of sizes as equal as can be, with equal numbers in one slice.

    Args:
        numbers: (examples,) int64, the number of each example.

    Returns:
        Three ranges, in increasing order; a single one where there are fewer than three different numbers.
    """
    values, counts = np.unique(numbers, return_counts=True)
    if len(values) < 3:
        return [(int(values[0]), int(values[-1]))]
    shares = counts.cumsum() / counts.sum()
    lower = int(np.abs(shares[:-2] - 1 / 3).argmin())
    upper = lower + 1 + int(np.abs(shares[lower + 1 : -1] - 2 / 3).argmin())
    return [
        (int(values[first]), int(values[last]))
        for first, last in ((0, lower), (lower + 1, upper), (upper + 1, len(values) - 1))
    ]


def assign_slices(numbers: Numbers, ranges: Sequence[Range]) -> NDArray[np.intp]:
    """Find the slice of each example.

    Args:
        numbers: (examples,) int64, the number of each example.
        ranges: The slices in increasing order, which hold all numbers.

    Returns:
        (examples,) int, positions in `ranges`.
    """
    return np.searchsorted([last for _, last in ranges], numbers)


def _joined(ranges: Sequence[Range], numbers: Mapping[str, Numbers], least: int) -> list[Range]:
    """Join neighbors until each language has enough examples in each slice, as far as there are enough."""
    joined: list[Range] = []
    start: int | None = None
    for first, last in ranges:
        start = first if start is None else start
        if all(((start <= of_language) & (of_language <= last)).sum() >= least for of_language in numbers.values()):
            joined.append((start, last))
            start = None
    if start is not None:
        first = joined.pop()[0] if joined else start
        joined.append((first, ranges[-1][1]))
    return joined


class SliceDifferences(NamedTuple):
    """The differences of a row to the first one.

    Attributes:
        gains: The difference in each slice.
        slope: The difference in the last slice minus that in the first one.
    """

    gains: list[Difference]
    slope: Difference


def slice_differences(
    first: Mapping[str, ArrayLike],
    others: Sequence[Mapping[str, ArrayLike]],
    groups: Sequence[ClusterGroup],
    slices: Mapping[str, NDArray[np.intp]],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[SliceDifferences]:
    """Compute the differences of rows to the first one in slices of the examples, with percentile intervals.

    A row's score in a slice is the mean over languages of the mean over seeds and the slice's examples. The draws are
    those of `paired_bootstrap` over all examples: clusters and seeds, the same ones for all rows and slices. A slice's
    mean in a language is a ratio: the sum of the scores of its drawn examples by their number.

    The simultaneous intervals are for all that is returned together, the slopes too.

    Args:
        first: For each language (seeds, examples) float in [0, 1], the scores of the first row.
        others: The scores of each other row, in the same form and for the same languages.
        groups: The clusters of the examples of all these languages, in the order of the scores; they may have more
            languages, which then take part in the draws alone.
        slices: For each of the languages (examples,) int, the slice of each example, from 0 without gaps. Every
            language has examples in at least two slices, and in the same ones.
        resamples: The number of resamples.
        seed: The seed of the draws.

    Returns:
        The differences of each other row.

    Raises:
        ValueError: As `paired_bootstrap`.
    """
    if not others:
        return []
    number = _count(slices)
    rows = [
        {_name(language, index): values[:, slices[language] == index] for language, values in differences.items()}
        for differences in (paired_differences(first, other, groups) for other in others)
        for index in range(number)
    ]
    sliced = [_sliced_group(group, slices, number) for group in groups]
    gains = resample_means(rows, sliced, resamples, seed).reshape(len(others), number, resamples)
    observed = np.array([observed_mean(row) for row in rows]).reshape(-1, number)
    every = bootstrapped(_with_slope(observed).ravel(), _with_slope(gains).reshape(-1, resamples))
    starts = range(0, len(every), number + 1)
    return [SliceDifferences(every[start : start + number], every[start + number]) for start in starts]


def effective_clusters(groups: Sequence[ClusterGroup], slices: Mapping[str, NDArray[np.intp]]) -> list[float]:
    """Compute how many clusters of equal weight would tell as much of each slice as its own do.

    Args:
        groups: The clusters of the examples of all these languages.
        slices: For each language (examples,) int, the slice of each example.

    Returns:
        For each slice the inverse of the sum of the squared weights of its clusters in the mean over languages.
    """
    number = _count(slices)
    sliced = [_sliced_group(group, slices, number) for group in groups]
    weights = (cluster_weights(sliced, [_name(name, index) for name in slices]) for index in range(number))
    return [round(float(1 / (of_slice**2).sum()), DIGITS) for of_slice in weights]


def _count(slices: Mapping[str, NDArray[np.intp]]) -> int:
    return 1 + max(int(of_language.max()) for of_language in slices.values())


def _name(language: str, index: int) -> str:
    """Name the examples of a language in a slice, as a language of its own."""
    return f"{language}/{index}"


def _sliced_group(group: ClusterGroup, slices: Mapping[str, NDArray[np.intp]], number: int) -> ClusterGroup:
    """Divide the examples of each language of a group among its slices, which share the group's clusters."""
    clusters = {
        _name(language, index): of_language[slices[language] == index]
        for language, of_language in group.clusters.items()
        if language in slices
        for index in range(number)
    }
    return ClusterGroup(clusters, group.size)


def _with_slope(gains: Floats) -> Floats:
    """Add to (rows, slices, ...) gains, as one more slice, the last slice's minus the first one's."""
    return np.concatenate([gains, gains[:, -1:] - gains[:, :1]], axis=1)
