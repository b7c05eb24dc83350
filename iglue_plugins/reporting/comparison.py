"""The comparison of trainers: by language, averaged over the target languages, and against the first one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from iglue_plugins.evaluation.significance import Difference
from iglue_plugins.published import PublishedFigures, rescale_to_labelled
from iglue_plugins.reporting.clustering import DrawnClusters, cluster_examples
from iglue_plugins.reporting.lmms_eval_results import METRIC, SPLIT, LMMSEvalResult
from iglue_plugins.reporting.results import RunResult, join_names, read_rows, seeds_of
from iglue_plugins.reporting.scores import Score, mean_over_languages, row_differences, score_over_seeds
from iglue_plugins.reporting.starts import started_from
from iglue_plugins.utils.errors import UserError


@dataclass(frozen=True)
class Row:
    """The row of one trainer.

    Attributes:
        label: The label of the row.
        trainer: The trainer's name.
        training_languages: The languages other than the source language that the runs were trained on.
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
        source: The source language.
        auxiliary: The languages other than the source language that any row was trained on.
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
    source: str
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
            language for language in (self.source, *self.auxiliary, *self.targets) if language in self.examples
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
    results = read_rows(rows, split, scored=scored)
    first_row, *others = results.values()
    first, every = first_row[0], [result for row in results.values() for result in row]
    source, auxiliary, targets = _language_roles(first, every)
    groups, drawn = cluster_examples(every, targets)
    differences = [None, *row_differences(first_row, [(row, targets) for row in others], groups)]
    return Comparison(
        task=first.record["task"],
        split=split,
        metric=first.record["main_metric"],
        source=source,
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


def with_published(comparison: Comparison, figures: Sequence[PublishedFigures]) -> Comparison:
    """Add rows of published figures to a comparison.

    Args:
        comparison: The comparison of runs.
        figures: The published figures.

    Returns:
        A comparison with the rows, averaged over the comparison's target languages.

    Raises:
        UserError: The figures are not in the comparison's metric.
    """
    return replace(comparison, published=tuple(_published_row(comparison, row) for row in figures))


def _published_row(comparison: Comparison, figures: PublishedFigures) -> PublishedRow:
    if figures.metric != comparison.metric:
        raise UserError(
            f"--published: the runs are scored by {comparison.metric}, but the figures published for {comparison.task} "
            f"by {figures.metric}"
        )
    languages = {
        name: rescale_to_labelled(comparison.task, figures.languages[name], comparison.examples[name])
        for name in comparison.languages
        if name in figures.languages
    }
    mean = _mean_of_targets(comparison, languages)
    return PublishedRow(figures.label, figures.model, figures.setting, figures.shots, languages, mean)


def with_lmms_eval(comparison: Comparison, evaluated: Sequence[LMMSEvalResult]) -> Comparison:
    """Add rows of lmms-eval's results to a comparison.

    Args:
        comparison: The comparison of runs.
        evaluated: The results.

    Returns:
        A comparison with the rows, averaged over the comparison's target languages.

    Raises:
        UserError: The results are of another split, metric or number of examples, or of none of the languages.
    """
    return replace(comparison, lmms_eval=tuple(_lmms_eval_row(comparison, row) for row in evaluated))


def _lmms_eval_row(comparison: Comparison, row: LMMSEvalResult) -> LMMSEvalRow:
    if (comparison.split, comparison.metric) != (SPLIT, METRIC):
        raise UserError(
            f"--lmms-eval: the runs are scored by {comparison.metric} on split '{comparison.split}', but {row.file} "
            f"has {METRIC} on '{SPLIT}'"
        )
    languages = {name: row.languages[name] for name in comparison.languages if name in row.languages}
    if not languages:
        raise UserError(
            f"{row.file}: has results in {join_names(row.languages)}, but the runs are scored in "
            f"{join_names(comparison.languages)}"
        )
    for name in languages:
        if row.examples[name] != comparison.examples[name]:
            raise UserError(
                f"{row.file}: has {row.examples[name]} documents in '{name}', but the runs are scored on "
                f"{comparison.examples[name]}; evaluate all of them, without --limit"
            )
    return LMMSEvalRow(
        row.label, row.model, row.checkpoint, str(row.file), languages, _mean_of_targets(comparison, languages)
    )


def _mean_of_targets(comparison: Comparison, languages: dict[str, float]) -> float | None:
    complete = all(name in languages for name in comparison.targets)
    return float(np.mean([languages[name] for name in comparison.targets])) if complete else None


def _language_roles(first: RunResult, results: Sequence[RunResult]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Return the source language, the auxiliary languages of all runs together, and the target languages."""
    source = first.record["source_language"]
    trained_on = {language for result in results for language in result.record["training_languages"]} - {source}
    auxiliary = tuple(sorted(trained_on))
    targets = tuple(language for language in first.metric if language != source and language not in trained_on)
    if not targets:
        raise UserError(
            f"{first.folder}: there is no target language among {join_names(first.metric)}, since {source} is the "
            f"source and the rows trained on {join_names(auxiliary) or 'no other'}; evaluate on another language"
        )
    return source, auxiliary, targets


def _build_row(
    label: str, row: list[RunResult], targets: Sequence[str], difference: Difference | None, start: str
) -> Row:
    record = row[0].record
    return Row(
        label=label,
        trainer=record["trainer"],
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
