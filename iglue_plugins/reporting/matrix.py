"""Many settings of one recipe side by side: a row for each, a column for each language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from iglue_plugins.evaluation.significance import Interval
from iglue_plugins.reporting.comparison import Score, score_over_seeds, target_difference
from iglue_plugins.reporting.results import RunResult, join_names, read_rows, seeds_of
from iglue_plugins.utils.errors import UserError


@dataclass(frozen=True)
class SweepRow:
    """A row's label, what it sets (key to value as it was given; nothing for the baseline), a run for each seed."""

    label: str
    values: Mapping[str, str]
    folders: tuple[Path, ...]


@dataclass(frozen=True)
class MatrixRow:
    """The scores of one setting in each language.

    `unseen` are the targets that none of its training was in, the stage before included, and `unseen_mean` is over
    them; `common_mean` is over the targets that no row of the matrix was trained on, None where there are none.
    `difference` is to the baseline over `unseen`, in points; None for the baseline itself, and without one.
    """

    label: str
    values: Mapping[str, str]
    runs: tuple[str, ...]
    languages: dict[str, Score]
    trained_on: tuple[str, ...]
    unseen: tuple[str, ...]
    unseen_mean: Score
    common_mean: Score | None
    difference: Interval | None


@dataclass(frozen=True)
class PairwiseDifference:
    """The best row's mean minus another row's, over targets that neither was trained on."""

    other: str
    languages: tuple[str, ...]
    difference: Interval


@dataclass(frozen=True)
class Matrix:
    """Rows over the same task, split, metric, languages, examples and seeds.

    `best` is the label of the row with the highest mean over `common`, the targets that no row was trained on; without
    any, of the row with the largest difference to the baseline, or else the highest mean, over its own unseen targets.
    `differences_of_best` are to the baseline and to the second, where they exist.
    """

    task: str
    split: str
    metric: str
    source: str
    targets: tuple[str, ...]
    common: tuple[str, ...]
    seeds: tuple[int, ...]
    keys: tuple[str, ...]
    baseline: MatrixRow | None
    rows: tuple[MatrixRow, ...]
    best: str
    differences_of_best: tuple[PairwiseDifference, ...]

    @property
    def all_rows(self) -> tuple[MatrixRow, ...]:
        return self.rows if self.baseline is None else (self.baseline, *self.rows)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages in the order of the columns: source, if it is evaluated, and targets."""
        return tuple(language for language in (self.source, *self.targets) if language in self.rows[0].languages)

    @property
    def means_differ(self) -> bool:
        """Whether a row's mean over the common targets is over others than its mean over its own unseen ones."""
        return any(row.unseen != self.common for row in self.all_rows)


def build_matrix(rows: Sequence[SweepRow], baseline: SweepRow | None, split: str, languages: Sequence[str]) -> Matrix:
    """The matrix of finished runs, in the given languages.

    Raises:
        UserError: as of read_rows, or a row was trained on every target language.
    """
    every = [*([baseline] if baseline else []), *rows]
    results = read_rows([(swept.label, swept.folders) for swept in every], split, languages)
    first = next(iter(results.values()))
    source = first[0].record["source_language"]
    targets = tuple(language for language in languages if language != source)
    unseen = {label: _unseen(label, row[0], targets) for label, row in results.items()}
    common = tuple(language for language in targets if all(language in of_row for of_row in unseen.values()))
    before = results[baseline.label] if baseline else None
    made = {swept.label: _row(swept, results[swept.label], unseen[swept.label], common, before) for swept in every}
    ranked = sorted((made[swept.label] for swept in rows), key=_rank, reverse=True)
    return Matrix(
        task=first[0].record["task"],
        split=split,
        metric=first[0].record["main_metric"],
        source=source,
        targets=targets,
        common=common,
        seeds=seeds_of(first),
        keys=tuple(rows[0].values),
        baseline=made[baseline.label] if baseline else None,
        rows=tuple(made[swept.label] for swept in rows),
        best=ranked[0].label,
        differences_of_best=tuple(
            _differences_of_best(
                ranked[0], [*([made[baseline.label]] if baseline else []), *ranked[1:2]], results, common
            )
        ),
    )


def _unseen(label: str, result: RunResult, targets: Sequence[str]) -> tuple[str, ...]:
    unseen = tuple(language for language in targets if language not in result.record["training_languages"])
    if not unseen:
        raise UserError(
            f"row '{label}': found {join_names(result.metric)}, expected a target language that it was not "
            "trained on; evaluate on more languages"
        )
    return unseen


def _row(
    swept: SweepRow,
    results: list[RunResult],
    unseen: tuple[str, ...],
    common: tuple[str, ...],
    before: list[RunResult] | None,
) -> MatrixRow:
    trained_on = set(results[0].record["training_languages"])
    return MatrixRow(
        label=swept.label,
        values=swept.values,
        runs=tuple(str(result.folder) for result in results),
        languages={
            language: score_over_seeds([result.metric[language] for result in results])
            for language in results[0].metric
        },
        trained_on=tuple(language for language in results[0].metric if language in trained_on),
        unseen=unseen,
        unseen_mean=_mean(results, unseen),
        common_mean=_mean(results, common) if common else None,
        difference=None if before is None or before is results else target_difference(results, before, unseen),
    )


def _mean(results: list[RunResult], languages: Sequence[str]) -> Score:
    return score_over_seeds([np.mean([result.metric[language] for language in languages]) for result in results])


def _rank(row: MatrixRow) -> float:
    if row.common_mean is not None:
        return row.common_mean.mean
    return row.unseen_mean.mean if row.difference is None else row.difference.difference


def _differences_of_best(
    best: MatrixRow, others: Sequence[MatrixRow], results: Mapping[str, list[RunResult]], common: tuple[str, ...]
) -> list[PairwiseDifference]:
    shared = {
        other.label: common or tuple(language for language in best.unseen if language in other.unseen)
        for other in others
    }
    return [
        PairwiseDifference(label, languages, target_difference(results[best.label], results[label], languages))
        for label, languages in shared.items()
        if languages
    ]
