"""The matrix of a sweep: a row for each setting of a recipe, and a column for each language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from iglue_plugins.evaluation.clusters import ClusterGroup
from iglue_plugins.evaluation.significance import Difference
from iglue_plugins.reporting.clustering import DrawnClusters, cluster_examples, pictured_examples
from iglue_plugins.reporting.results import RunResult, join_names, read_rows, seeds_of
from iglue_plugins.reporting.scores import Score, mean_over_languages, row_differences, score_over_seeds
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.languages import language_tuple


@dataclass(frozen=True)
class SweepRow:
    """The runs of one setting of a sweep.

    Attributes:
        label: The label of the row.
        values: The values that the row sets, as given, by key; none for the baseline.
        folders: The folders of the runs, one for each seed.
    """

    label: str
    values: Mapping[str, str]
    folders: tuple[Path, ...]


@dataclass(frozen=True)
class MatrixRow:
    """The scores of one setting in each language.

    Attributes:
        label: The label of the row.
        values: The values that the row sets, as given, by key; none for the baseline.
        runs: The folders of the runs, one for each seed.
        languages: The scores by language.
        trained_on: The evaluated languages that the row was trained on besides the source languages.
        unseen: The target languages that the row was not trained on, in no stage.
        unseen_mean: The mean over `unseen`.
        common_mean: The mean over the target languages that no row of the matrix was trained on; None if there are
            none.
        difference: The difference to the baseline over `unseen`, in points; None for the baseline, and if there is no
            baseline.
    """

    label: str
    values: Mapping[str, str]
    runs: tuple[str, ...]
    languages: dict[str, Score]
    trained_on: tuple[str, ...]
    unseen: tuple[str, ...]
    unseen_mean: Score
    common_mean: Score | None
    difference: Difference | None


@dataclass(frozen=True)
class PairwiseDifference:
    """The difference of the best row's mean to that of another row.

    Attributes:
        other: The label of the other row.
        languages: The target languages that neither row was trained on, over which the means are taken.
        difference: The best row's mean minus the other row's, in points.
    """

    other: str
    languages: tuple[str, ...]
    difference: Difference


@dataclass(frozen=True)
class Matrix:
    """Rows with the same task, split, metric, languages, examples and seeds.

    Attributes:
        task: The task's name.
        split: The split of all scores.
        metric: The main metric.
        sources: The source languages, the same of all rows.
        targets: The evaluated languages other than the source languages.
        common: The target languages that no row was trained on.
        seeds: The seeds of every row.
        keys: The keys that the sweep sets.
        baseline: The row of the baseline, or None.
        rows: The rows of the sweep.
        best: The label of the row with the highest mean over `common`. If `common` is empty, the label of the row with
            the largest difference to the baseline, or without a baseline with the highest mean, over the target
            languages that it was not trained on.
        differences_of_best: The differences of the best row to the baseline and to the second-best row, if they exist.
        drawn: The clusters of examples that the intervals resample.
        margin: The largest difference that does not matter, in points, by which differences are judged; None for none.
    """

    task: str
    split: str
    metric: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    common: tuple[str, ...]
    seeds: tuple[int, ...]
    keys: tuple[str, ...]
    baseline: MatrixRow | None
    rows: tuple[MatrixRow, ...]
    best: str
    differences_of_best: tuple[PairwiseDifference, ...]
    drawn: DrawnClusters
    margin: float | None = None

    @property
    def all_rows(self) -> tuple[MatrixRow, ...]:
        """The rows with the baseline, if there is one, as the first."""
        return self.rows if self.baseline is None else (self.baseline, *self.rows)

    @property
    def languages(self) -> tuple[str, ...]:
        """The evaluated languages, in the order of the columns: the source languages and the target languages."""
        return tuple(language for language in (*self.sources, *self.targets) if language in self.rows[0].languages)

    @property
    def evaluated_sources(self) -> tuple[str, ...]:
        """The source languages that have scores."""
        return tuple(language for language in self.languages if language in self.sources)

    @property
    def means_differ(self) -> bool:
        """Whether, for some row, the mean over `common` and the mean over `unseen` are over different languages."""
        return any(row.unseen != self.common for row in self.all_rows)


def build_matrix(
    rows: Sequence[SweepRow],
    baseline: SweepRow | None,
    split: str,
    languages: Sequence[str],
    margin: float | None = None,
) -> Matrix:
    """Build the matrix of finished runs.

    Args:
        rows: The rows of the sweep.
        baseline: The row of the baseline; None builds a matrix without differences.
        split: The split of the scores.
        languages: The languages of the columns.
        margin: The largest difference that does not matter, in points, above 0; None judges no difference by a margin.

    Returns:
        The matrix.

    Raises:
        UserError: As `read_rows`, or a row was trained on every target language.
    """
    every = [*([baseline] if baseline else []), *rows]
    scored = {swept.label: split for swept in every}
    results = read_rows([(swept.label, swept.folders) for swept in every], split, languages, scored)
    return matrix_of_results(rows, baseline, results, split, languages, margin)


def matrix_of_results(
    rows: Sequence[SweepRow],
    baseline: SweepRow | None,
    results: Mapping[str, Sequence[RunResult]],
    split: str,
    languages: Sequence[str],
    margin: float | None = None,
) -> Matrix:
    """Build the matrix of runs that have been read by `read_rows`.

    Args:
        rows: The rows of the sweep.
        baseline: The row of the baseline; None builds a matrix without differences.
        results: The results of the runs of these rows and of no other, by the row's label.
        split: The split of the scores.
        languages: The languages of the columns.
        margin: The largest difference that does not matter, in points, above 0; None judges no difference by a margin.

    Returns:
        The matrix.

    Raises:
        UserError: A row was trained on every target language.
    """
    every = [*([baseline] if baseline else []), *rows]
    first = next(iter(results.values()))
    sources = language_tuple(first[0].record["source_language"])
    targets = tuple(language for language in languages if language not in sources)
    unseen = {label: _unseen_languages(label, row[0], targets) for label, row in results.items()}
    common = tuple(language for language in targets if all(language in of_row for of_row in unseen.values()))
    every_result = [result for row in results.values() for result in row]
    groups, drawn = cluster_examples(pictured_examples(every_result, targets))
    differences = _differences_to_baseline(baseline, results, unseen, groups)
    built = {
        swept.label: _build_row(swept, results[swept.label], unseen[swept.label], common, differences.get(swept.label))
        for swept in every
    }
    ranked = sorted((built[swept.label] for swept in rows), key=_rank, reverse=True)
    best, compared_rows = ranked[0], [*([built[baseline.label]] if baseline else []), *ranked[1:2]]
    return Matrix(
        task=first[0].record["task"],
        split=split,
        metric=first[0].record["main_metric"],
        sources=sources,
        targets=targets,
        common=common,
        seeds=seeds_of(first),
        keys=tuple(rows[0].values),
        baseline=built[baseline.label] if baseline else None,
        rows=tuple(built[swept.label] for swept in rows),
        best=best.label,
        differences_of_best=tuple(_differences_of_best(best, compared_rows, results, common, groups)),
        drawn=drawn,
        margin=margin,
    )


def _unseen_languages(label: str, result: RunResult, targets: Sequence[str]) -> tuple[str, ...]:
    """List the target languages that a run was not trained on."""
    unseen = tuple(language for language in targets if language not in result.record["training_languages"])
    if not unseen:
        raise UserError(
            f"row '{label}': was trained on every target language among {join_names(result.metric)}; evaluate on more "
            "languages"
        )
    return unseen


def _differences_to_baseline(
    baseline: SweepRow | None,
    results: Mapping[str, Sequence[RunResult]],
    unseen: Mapping[str, tuple[str, ...]],
    groups: Sequence[ClusterGroup],
) -> dict[str, Difference]:
    """Compute the difference of each other row to the baseline, over the languages that the row was not trained on."""
    if baseline is None:
        return {}
    others = {label: (row, unseen[label]) for label, row in results.items() if label != baseline.label}
    differences = row_differences(results[baseline.label], list(others.values()), groups)
    return dict(zip(others, differences, strict=True))


def _build_row(
    swept: SweepRow,
    results: Sequence[RunResult],
    unseen: tuple[str, ...],
    common: tuple[str, ...],
    difference: Difference | None,
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
        unseen_mean=mean_over_languages(results, unseen),
        common_mean=mean_over_languages(results, common) if common else None,
        difference=difference,
    )


def _rank(row: MatrixRow) -> float:
    """Return the number by which rows are ranked; see `Matrix.best`."""
    if row.common_mean is not None:
        return row.common_mean.mean
    return row.unseen_mean.mean if row.difference is None else row.difference.difference


def _differences_of_best(
    best: MatrixRow,
    others: Sequence[MatrixRow],
    results: Mapping[str, Sequence[RunResult]],
    common: tuple[str, ...],
    groups: Sequence[ClusterGroup],
) -> list[PairwiseDifference]:
    """Compare the best row with others, over the common languages or those that neither row was trained on."""
    shared = {
        other.label: common or tuple(language for language in best.unseen if language in other.unseen)
        for other in others
    }
    return [
        PairwiseDifference(
            label, languages, row_differences(results[label], [(results[best.label], languages)], groups)[0]
        )
        for label, languages in shared.items()
        if languages
    ]
