"""The comparison of trainers: by language, averaged over the target languages, and against the first one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from iglue_plugins.evaluation.significance import Difference
from iglue_plugins.reporting.clustering import DrawnClusters, cluster_examples, pictured_examples
from iglue_plugins.reporting.results import RunResult, join_names, read_rows, seeds_of
from iglue_plugins.reporting.scores import Score, mean_over_languages, row_differences, score_over_seeds
from iglue_plugins.reporting.starts import started_from
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.languages import language_tuple


@dataclass(frozen=True)
class Row:
    """The row of one trainer.

    Attributes:
        label: The label of the row.
        trainer: The trainer's name.
        source_languages: The source languages that the runs were trained on.
        training_languages: The other languages that the runs were trained on.
        labels_per_step: The number of labelled examples that an optimizer step uses.
        steps: The number of optimizer steps.
        adapted: How a model was adapted to each language; None if one model is scored on all of them.
        runs: The folders of the runs, one for each seed.
        languages: The scores by language.
        target_mean: The mean over the target languages.
        difference: The target mean minus that of the first row, in points; None for the first row.
        started_from: The weights that the runs started from.
        scored: The split, with evaluation settings other than the usual ones, such as "test@bfloat16".
    """

    label: str
    trainer: str
    source_languages: tuple[str, ...]
    training_languages: tuple[str, ...]
    labels_per_step: int
    steps: int
    adapted: str | None
    runs: tuple[str, ...]
    languages: dict[str, Score]
    target_mean: Score
    difference: Difference | None
    started_from: str
    scored: str


@dataclass(frozen=True)
class PublishedRow:
    """A row of figures from a paper, which have no seeds.

    Attributes:
        label: The label of the row.
        model: The model's name in the publication.
        setting: The setting, such as "zero_shot".
        shots: The number of shots as published.
        languages: The figures, from 0 to 100, by language of the comparison, over the comparison's examples.
        target_mean: The mean over the comparison's target languages; None if a figure is missing.
    """

    label: str
    model: str
    setting: str
    shots: str
    languages: dict[str, float]
    target_mean: float | None


@dataclass(frozen=True)
class LMMSEvalRow:
    """A row of a single evaluation by lmms-eval.

    Attributes:
        label: The label of the row.
        model: lmms-eval's name of the model.
        checkpoint: The model's checkpoint.
        file: The result file.
        languages: The figures, from 0 to 100, by language of the comparison, over the comparison's examples.
        target_mean: The mean over the comparison's target languages; None if a figure is missing.
    """

    label: str
    model: str
    checkpoint: str
    file: str
    languages: dict[str, float]
    target_mean: float | None


@dataclass(frozen=True)
class Comparison:
    """Rows with the same task, split, metric, languages, examples and seeds.

    Attributes:
        task: The task's name.
        split: The split of all scores.
        metric: The main metric.
        sources: The source languages of all rows.
        auxiliary: The other languages that any row was trained on.
        targets: All other languages, so that every row is averaged over the same zero-shot languages.
        seeds: The seeds of every row.
        examples: The number of examples by language.
        rows: The rows of runs.
        drawn: The clusters of examples that the intervals resample.
        margin: The largest difference that does not matter, in points, by which differences are judged; None for none.
        published: The rows of published figures.
        lmms_eval: The rows of lmms-eval's results.
    """

    task: str
    split: str
    metric: str
    sources: tuple[str, ...]
    auxiliary: tuple[str, ...]
    targets: tuple[str, ...]
    seeds: tuple[int, ...]
    examples: dict[str, int]
    rows: tuple[Row, ...]
    drawn: DrawnClusters
    margin: float | None = None
    published: tuple[PublishedRow, ...] = ()
    lmms_eval: tuple[LMMSEvalRow, ...] = ()

    @property
    def languages(self) -> tuple[str, ...]:
        """The evaluated languages, in the order of the columns: source, auxiliary and target languages."""
        return tuple(
            language for language in (*self.sources, *self.auxiliary, *self.targets) if language in self.examples
        )


def build_comparison(
    rows: Sequence[tuple[str, Sequence[Path]]],
    split: str = "test",
    margin: float | None = None,
    scored: Mapping[str, str] | None = None,
) -> Comparison:
    """Compare rows of finished runs.

    Args:
        rows: A label and the folders of its runs, one for each seed, of every row.
        split: The split to compare on.
        margin: The largest difference that does not matter, in points, above 0; None judges no difference by a margin.
        scored: The name under which the runs of a row keep the scores that count, by label, such as "test@bfloat16"; by
            default that of the settings in the runs' recipes.

    Returns:
        The comparison, in which every row but the first has a difference to the first.

    Raises:
        UserError: As `read_rows`, or every language was trained on by some row, so that there is no target language.
    """
    return compare_results(read_rows(rows, split, scored=scored), split, margin)


def compare_results(results: Mapping[str, Sequence[RunResult]], split: str, margin: float | None = None) -> Comparison:
    """Compare rows of runs that have been read by `read_rows`.

    Args:
        results: The results of each row's runs, by label.
        split: The split of all scores.
        margin: The largest difference that does not matter, in points, above 0; None judges no difference by a margin.

    Returns:
        The comparison, in which every row but the first has a difference to the first.

    Raises:
        UserError: Every language was trained on by some row, so that there is no target language.
    """
    first_row, *others = results.values()
    first, every = first_row[0], [result for row in results.values() for result in row]
    sources, auxiliary, targets = language_roles(every)
    groups, drawn = cluster_examples(pictured_examples(every, targets))
    differences = [None, *row_differences(first_row, [(row, targets) for row in others], groups)]
    return Comparison(
        task=first.record["task"],
        split=split,
        metric=first.record["main_metric"],
        sources=sources,
        auxiliary=auxiliary,
        targets=targets,
        seeds=seeds_of(first_row),
        examples={language: len(ids) for language, ids in first.example_ids.items()},
        rows=tuple(
            _build_row(label, row, targets, difference, started_from(row, results))
            for (label, row), difference in zip(results.items(), differences, strict=True)
        ),
        drawn=drawn,
        margin=margin,
    )


def language_roles(results: Sequence[RunResult]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Tell the roles of the languages of a table.

    Args:
        results: The results of all runs of the table.

    Returns:
        The source languages and the auxiliary languages of all runs together, and the target languages.

    Raises:
        UserError: Every language was trained on by some run, so that there is no target language.
    """
    first, targets = results[0], target_languages(results)
    sources = source_languages(results)
    trained_on = {language for result in results for language in result.record["training_languages"]}
    auxiliary = tuple(sorted(trained_on - {*sources}))
    if not targets:
        raise UserError(
            f"{first.folder}: there is no target language among {join_names(first.metric)}, since "
            f"{join_names(sources)} {'is the source' if len(sources) == 1 else 'are sources'} and the rows trained on "
            f"{join_names(auxiliary) or 'no other'}; evaluate on another language"
        )
    return sources, auxiliary, targets


def source_languages(results: Sequence[RunResult]) -> tuple[str, ...]:
    """List the source languages of runs, each once.

    Args:
        results: The results of the runs.
    """
    every = (language_tuple(result.record["source_language"]) for result in results)
    return tuple(dict.fromkeys(language for sources in every for language in sources))


def target_languages(results: Sequence[RunResult]) -> tuple[str, ...]:
    """List the evaluated languages that no run was trained on, as source or auxiliary language, if there are any.

    Args:
        results: The results of all runs of a table.
    """
    trained_on = {language for result in results for language in result.record["training_languages"]}
    trained_on |= {*source_languages(results)}
    return tuple(language for language in results[0].metric if language not in trained_on)


def _build_row(
    label: str, row: Sequence[RunResult], targets: Sequence[str], difference: Difference | None, start: str
) -> Row:
    record = row[0].record
    return Row(
        label=label,
        trainer=record["trainer"],
        source_languages=language_tuple(record["source_language"]),
        training_languages=tuple(record["training_languages"]),
        labels_per_step=record["labels_per_step"],
        steps=record["steps"],
        adapted=record.get("adaptation", {}).get("summary"),
        runs=tuple(str(result.folder) for result in row),
        languages={
            language: score_over_seeds([result.metric[language] for result in row]) for language in row[0].metric
        },
        target_mean=mean_over_languages(row, targets),
        difference=difference,
        started_from=start,
        scored=row[0].scored,
    )
