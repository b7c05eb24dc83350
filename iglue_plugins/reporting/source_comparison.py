"""The matrices of several source languages side by side: does what holds from one hold from the others?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from iglue_plugins.evaluation.significance import Difference
from iglue_plugins.reporting.matrix import Matrix
from iglue_plugins.reporting.scores import Score

LEAST_SHARED = 4  # settings over which orders are compared


@dataclass(frozen=True)
class SourceRow:
    """What a sweep found from one source.

    Attributes:
        source: The source language, or several joined by "+".
        baseline: The mean of the baseline over the target languages; None if there is no baseline.
        means: Each setting's mean over the target languages that it was not trained on, by its label.
        differences: Each setting's difference to the baseline over the same languages, in points, by its label; none
            without a baseline.
        agreement: The rank correlation, Spearman's, of the differences (without baselines, the means) with those from
            the first source, over the settings that both have; None for the first, and where they share fewer than
            `LEAST_SHARED`.
    """

    source: str
    baseline: Score | None
    means: dict[str, Score]
    differences: dict[str, Difference]
    agreement: float | None

    @property
    def mean_difference(self) -> float | None:
        """The mean of the differences over the settings, in points; None if there are none."""
        return fmean(each.difference for each in self.differences.values()) if self.differences else None


@dataclass(frozen=True)
class SourceComparison:
    """A sweep from several sources.

    Attributes:
        task: The task's name.
        split: The split of all scores.
        metric: The main metric.
        seeds: The seeds of every row.
        labels: The labels of the settings, in the order in which sources have them.
        rows: A row for each source.
    """

    task: str
    split: str
    metric: str
    seeds: tuple[int, ...]
    labels: tuple[str, ...]
    rows: tuple[SourceRow, ...]

    @property
    def has_differences(self) -> bool:
        """Whether every source has a baseline."""
        return all(row.baseline is not None for row in self.rows)


def compare_sources(matrices: Mapping[str, Matrix]) -> SourceComparison:
    """Put the matrices of a sweep from several sources side by side.

    Args:
        matrices: The matrix of each source, by its label; they share task, split, metric and seeds.

    Returns:
        The comparison.
    """
    first = next(iter(matrices.values()))
    reference = _values(first)
    rows = [_row(source, matrix, None if matrix is first else reference) for source, matrix in matrices.items()]
    labels = dict.fromkeys(label for row in sorted(rows, key=lambda row: -len(row.means)) for label in row.means)
    return SourceComparison(first.task, first.split, first.metric, first.seeds, tuple(labels), tuple(rows))


def _row(source: str, matrix: Matrix, reference: Mapping[str, float] | None) -> SourceRow:
    return SourceRow(
        source=source,
        baseline=matrix.baseline.unseen_mean if matrix.baseline else None,
        means={row.label: row.unseen_mean for row in matrix.rows},
        differences={row.label: row.difference for row in matrix.rows if row.difference is not None},
        agreement=None if reference is None else _rank_correlation(reference, _values(matrix)),
    )


def _values(matrix: Matrix) -> dict[str, float]:
    """Return what the settings of a matrix are ordered by."""
    return {
        row.label: row.unseen_mean.mean if row.difference is None else row.difference.difference for row in matrix.rows
    }


def _rank_correlation(one: Mapping[str, float], other: Mapping[str, float]) -> float | None:
    """Compute Spearman's correlation over the keys that both have; None if these are few, or one is constant."""
    shared = [key for key in one if key in other]
    if len(shared) < LEAST_SHARED:
        return None
    ranks = np.stack([_ranks([values[key] for key in shared]) for values in (one, other)])
    return float(np.corrcoef(ranks)[0, 1]) if ranks.std(axis=1).all() else None


def _ranks(values: Sequence[float]) -> np.ndarray:
    """Return the ranks of numbers; equal ones share the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[places]
