"""Rows of a comparison that are no runs: published figures, and results of lmms-eval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from iglue_plugins.published import PublishedFigures, rescale_to_labelled
from iglue_plugins.reporting.comparison import Comparison, LMMSEvalRow, PublishedRow
from iglue_plugins.reporting.lmms_eval_results import METRIC, SPLIT, LMMSEvalResult
from iglue_plugins.reporting.results import join_names
from iglue_plugins.utils.errors import UserError


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
