"""Trainers side by side: per language, averaged over the target languages, and against the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from iglue_plugins.evaluation.significance import Interval, paired_bootstrap
from iglue_plugins.published import PublishedFigures, rescale_to_labelled
from iglue_plugins.reporting.lmms_eval_results import METRIC, SPLIT, LMMSEvalResult
from iglue_plugins.reporting.results import RunResult, join_names, read_rows, seeds_of
from iglue_plugins.utils.errors import UserError


@dataclass(frozen=True)
class Score:
    """The main metric (0-100) of each seed, its mean, and its standard deviation (ddof 1; None for one seed)."""

    mean: float
    std: float | None
    per_seed: tuple[float, ...]


@dataclass(frozen=True)
class Row:
    """One trainer. `difference` is its target mean minus the first row's, in points; None for the first row."""

    label: str
    trainer: str
    training_languages: tuple[str, ...]
    labels_per_step: int
    steps: int
    adapted: str | None
    runs: tuple[str, ...]
    languages: dict[str, Score]
    target_mean: Score
    difference: Interval | None


@dataclass(frozen=True)
class PublishedRow:
    """Figures from a paper, without seeds: those of the comparison's languages, 0-100, over its examples.

    `target_mean` is over the comparison's targets; None where a figure is lacking.
    """

    label: str
    model: str
    setting: str
    shots: str
    languages: dict[str, float]
    target_mean: float | None


@dataclass(frozen=True)
class LMMSEvalRow:
    """A model that lmms-eval evaluated, once: its figures in the comparison's languages, 0-100, over its examples.

    `target_mean` is over the comparison's targets; None where a figure is lacking.
    """

    label: str
    model: str
    checkpoint: str
    file: str
    languages: dict[str, float]
    target_mean: float | None


@dataclass(frozen=True)
class Comparison:
    """Rows over the same task, split, metric, languages, examples and seeds.

    `auxiliary` holds the languages that any row trained on beside the source; `targets` are all the others, so that
    every row is averaged over the same zero-shot languages. `examples` counts them per language.
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
    published: tuple[PublishedRow, ...] = ()
    lmms_eval: tuple[LMMSEvalRow, ...] = ()

    @property
    def languages(self) -> tuple[str, ...]:
        """The evaluated languages in the order of the columns: source, auxiliary, targets."""
        return tuple(
            language for language in (self.source, *self.auxiliary, *self.targets) if language in self.examples
        )


def build_comparison(rows: Sequence[tuple[str, Sequence[Path]]], split: str = "test") -> Comparison:
    """Compare rows of finished runs; each row is a label and its run folders, one per seed.

    Raises:
        UserError: as of read_rows, or no target language is left that no row trained on.
    """
    results = read_rows(rows, split)
    first_row = next(iter(results.values()))
    first = first_row[0]
    source, auxiliary, targets = _language_roles(first, [result for row in results.values() for result in row])
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
            _build_row(label, row, targets, None if row is first_row else target_difference(row, first_row, targets))
            for label, row in results.items()
        ),
    )


def with_published(comparison: Comparison, figures: Sequence[PublishedFigures]) -> Comparison:
    """The comparison with rows of published figures, averaged over its own target languages.

    Raises:
        UserError: the figures are not in the comparison's metric.
    """
    return replace(comparison, published=tuple(_published_row(comparison, row) for row in figures))


def _published_row(comparison: Comparison, figures: PublishedFigures) -> PublishedRow:
    if figures.metric != comparison.metric:
        raise UserError(
            f"--published: found runs scored by {comparison.metric}, expected {figures.metric}, the metric "
            f"of the figures published for {comparison.task}"
        )
    languages = {
        name: rescale_to_labelled(comparison.task, figures.languages[name], comparison.examples[name])
        for name in comparison.languages
        if name in figures.languages
    }
    mean = _mean_of_targets(comparison, languages)
    return PublishedRow(figures.label, figures.model, figures.setting, figures.shots, languages, mean)


def with_lmms_eval(comparison: Comparison, evaluated: Sequence[LMMSEvalResult]) -> Comparison:
    """The comparison with rows of lmms-eval's results, averaged over its own target languages.

    Raises:
        UserError: the results are of another split, metric or number of examples, or of none of the languages.
    """
    return replace(comparison, lmms_eval=tuple(_lmms_eval_row(comparison, row) for row in evaluated))


def _lmms_eval_row(comparison: Comparison, row: LMMSEvalResult) -> LMMSEvalRow:
    if (comparison.split, comparison.metric) != (SPLIT, METRIC):
        raise UserError(
            f"--lmms-eval: found runs scored by {comparison.metric} on split '{comparison.split}', "
            f"expected {METRIC} on '{SPLIT}', as {row.file} has"
        )
    languages = {name: row.languages[name] for name in comparison.languages if name in row.languages}
    if not languages:
        raise UserError(
            f"{row.file}: found {join_names(row.languages)}, expected some language of the runs: "
            f"{join_names(comparison.languages)}"
        )
    for name in languages:
        if row.examples[name] != comparison.examples[name]:
            raise UserError(
                f"{row.file}: found {row.examples[name]} documents in '{name}', expected all "
                f"{comparison.examples[name]}, which the runs are scored on; was there a --limit?"
            )
    return LMMSEvalRow(
        row.label, row.model, row.checkpoint, str(row.file), languages, _mean_of_targets(comparison, languages)
    )


def _mean_of_targets(comparison: Comparison, languages: dict[str, float]) -> float | None:
    complete = all(name in languages for name in comparison.targets)
    return float(np.mean([languages[name] for name in comparison.targets])) if complete else None


def _language_roles(first: RunResult, results: Sequence[RunResult]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The source, the auxiliary languages of all runs together, and the target languages."""
    source = first.record["source_language"]
    trained_on = {language for result in results for language in result.record["training_languages"]} - {source}
    auxiliary = tuple(sorted(trained_on))
    targets = tuple(language for language in first.metric if language != source and language not in trained_on)
    if not targets:
        raise UserError(
            f"{first.folder}: no target language is left among {join_names(first.metric)}, since {source} is the source "
            f"and the rows trained on {join_names(auxiliary) or 'no other'}; evaluate on at least one more language"
        )
    return source, auxiliary, targets


def _build_row(label: str, row: list[RunResult], targets: Sequence[str], difference: Interval | None) -> Row:
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
        target_mean=score_over_seeds([np.mean([result.metric[language] for language in targets]) for result in row]),
        difference=difference,
    )


def score_over_seeds(per_seed: Sequence[float]) -> Score:
    std = float(np.std(per_seed, ddof=1)) if len(per_seed) > 1 else None
    return Score(float(np.mean(per_seed)), std, tuple(map(float, per_seed)))


def target_difference(row: Sequence[RunResult], first_row: Sequence[RunResult], targets: Sequence[str]) -> Interval:
    """The row's target mean minus the other's, seed by seed and example by example."""
    scores, first_scores = (
        [np.stack([result.scores[language] for result in results]) for language in targets]
        for results in (row, first_row)
    )
    return paired_bootstrap(scores, first_scores, example_ids=[row[0].example_ids[language] for language in targets])
