"""All that is known of the numbers of a table, beyond the notes below it."""

from __future__ import annotations

from iglue_plugins import published
from iglue_plugins.reporting.averages import TaskAverage
from iglue_plugins.reporting.comparison import Comparison, Row
from iglue_plugins.reporting.interval_wording import interval_notes, targets_text
from iglue_plugins.reporting.matrix import Matrix
from iglue_plugins.reporting.notes import (
    BEST_NOTE,
    all_equal,
    average_notes,
    by_fact,
    external_average_note,
    incomplete_note,
    published_facts,
)
from iglue_plugins.reporting.results import join_names


def details(comparison: Comparison) -> list[str]:
    """Tell all that is known of the numbers of a comparison, where `notes` leaves out what a reader can do without.

    Args:
        comparison: The comparison.

    Returns:
        The sentences.
    """
    differences = {row.label: row.difference for row in comparison.rows if row.difference}
    first = comparison.rows[0].label
    published_notes = [_published_note(comparison)] if comparison.published else []
    lmms_eval_notes = [_lmms_eval_note(comparison)] if comparison.lmms_eval else []
    return [
        _mean_note(comparison),
        _seeds_note(comparison),
        *interval_notes(first, differences, comparison.seeds, comparison.drawn, comparison.margin),
        *_training_notes(comparison.rows),
        *published_notes,
        *lmms_eval_notes,
    ]


def matrix_details(matrix: Matrix) -> list[str]:
    """Tell all that is known of the numbers of a matrix, where `matrix_notes` leaves out what one can do without.

    Args:
        matrix: The matrix.

    Returns:
        The sentences.
    """
    source = join_names(matrix.sources)
    sentences = [
        f"Languages in brackets are those that a row was trained on besides {source}; its mean is without them."
        if any(row.trained_on for row in matrix.all_rows)
        else f"The mean is over {targets_text(matrix.targets)}, without source {source}."
    ]
    if matrix.common and matrix.means_differ:
        sentences.append(
            f"common: the mean over the {targets_text(matrix.common)} that no row was trained on "
            f"({join_names(matrix.common)})."
        )
    seeds = f"{len(matrix.seeds)} seeds ({join_names(matrix.seeds)})"
    sentences.append(f"Cells: mean over {seeds}." if len(matrix.seeds) > 1 else f"One seed ({matrix.seeds[0]}).")
    differences = {row.label: row.difference for row in matrix.rows if row.difference}
    first = matrix.baseline.label if matrix.baseline else ""
    sentences += interval_notes(first, differences, matrix.seeds, matrix.drawn, matrix.margin)
    if len(matrix.rows) > 1:
        sentences.append(BEST_NOTE)
    return sentences


def average_details(average: TaskAverage) -> list[str]:
    """Tell all that is known of the numbers of an average over tasks.

    Args:
        average: The average.

    Returns:
        The sentences.
    """
    differences = {row.label: row.difference for row in average.rows if row.difference}
    targets = "; ".join(f"{task}: {join_names(languages)}" for task, languages in average.targets.items())
    first, *_ = average_notes(average)
    first_label = average.rows[0].label
    intervals = (
        interval_notes(first_label, differences, average.seeds, average.drawn, average.margin) if average.drawn else []
    )
    others = [incomplete_note(average), external_average_note(average)]
    return [first, f"Target languages are {targets}.", *intervals, *filter(None, others)]


def _mean_note(comparison: Comparison) -> str:
    auxiliary = f" and auxiliary {join_names(comparison.auxiliary)}" if comparison.auxiliary else ""
    source = join_names(comparison.sources)
    return f"The mean is over {targets_text(comparison.targets)}, without source {source}{auxiliary}."


def _seeds_note(comparison: Comparison) -> str:
    if len(comparison.seeds) == 1:
        return f"One seed ({comparison.seeds[0]}), so no standard deviations."
    return f"Cells: mean ± standard deviation over {len(comparison.seeds)} seeds ({join_names(comparison.seeds)})."


def _published_note(comparison: Comparison) -> str:
    lacking = any(row.target_mean is None for row in comparison.published)
    return (
        f"Published figures: {published.SOURCE_IN_FULL}. They have no seeds, differences or intervals; their mean is "
        f"over the same target languages{' (- where one is lacking)' if lacking else ''}{published_facts(comparison)}."
    )


def _lmms_eval_note(comparison: Comparison) -> str:
    lacking = any(row.target_mean is None for row in comparison.lmms_eval)
    return (
        "Rows of lmms-eval are single runs without differences or intervals, over the same examples; their mean is "
        f"over the same target languages{' (- where one is lacking)' if lacking else ''}."
    )


def _training_notes(rows: tuple[Row, ...]) -> list[str]:
    """Explain the labels and steps of rows, what they started from, and where they differ in more than the trainer."""
    amounts = {row.label: f"{row.labels_per_step} labelled examples per step, {row.steps} steps" for row in rows}
    sources = {row.label: join_names(row.source_languages) for row in rows}
    languages = {row.label: join_names(row.training_languages) or "none" for row in rows}
    starts = {row.label: row.started_from for row in rows}
    scored = {row.label: row.scored for row in rows}
    sentences = []
    if all_equal(amounts):
        sentences.append(f"Every row: {amounts[rows[0].label]}.")
    else:
        sentences.append(f"Rows differ in labels or steps: {by_fact(amounts)}.")
    adapted = {row.label: row.adapted for row in rows if row.adapted}
    if adapted:
        sentences.append(f"A model of its own for each language but the source, adapted: {by_fact(adapted)}.")
    if not all_equal(sources):
        sentences.append(f"Rows differ in source languages: {by_fact(sources)}.")
    if not all_equal(languages):
        sentences.append(f"Rows differ in auxiliary languages trained on: {by_fact(languages)}.")
    if len(rows) > 1:
        sentences.append(f"Started from: {by_fact(starts)}.")
    if any("@" in name for name in scored.values()):
        sentences.append(f"Scores are of these evaluation settings: {by_fact(scored)}.")
    return sentences
