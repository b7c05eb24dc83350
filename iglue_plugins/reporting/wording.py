"""The numbers and sentences that tables, files and charts have in common."""

from __future__ import annotations

from typing import NamedTuple

from iglue_plugins import published
from iglue_plugins.reporting.comparison import Comparison, LMMSEvalRow, PublishedRow, Row
from iglue_plugins.reporting.interval_wording import describe_difference, interval_notes, targets_text
from iglue_plugins.reporting.matrix import Matrix
from iglue_plugins.reporting.results import join_names
from iglue_plugins.reporting.scores import Score

PUBLISHED_HEADING = f"published by {published.SOURCE}"
LMMS_EVAL_HEADING = "evaluated by lmms-eval"


class Block(NamedTuple):
    """External rows of one kind: published figures, or results of lmms-eval.

    Attributes:
        heading: The heading above the rows in tables.
        kind: The kind of rows in the legend of a chart.
        rows: The rows.
    """

    heading: str
    kind: str
    rows: tuple[PublishedRow, ...] | tuple[LMMSEvalRow, ...]


def blocks(comparison: Comparison) -> list[Block]:
    """List the blocks of external rows of a comparison.

    Args:
        comparison: The comparison.

    Returns:
        The blocks that have rows.
    """
    every = (
        Block(PUBLISHED_HEADING, "published", comparison.published),
        Block(LMMS_EVAL_HEADING, "lmms-eval", comparison.lmms_eval),
    )
    return [block for block in every if block.rows]


def mean_text(score: Score) -> str:
    """Format the mean of a score."""
    return f"{score.mean:.1f}"


def std_text(score: Score) -> str:
    """Format the standard deviation of a score, with its sign; an empty string for a single seed."""
    return "" if score.std is None else f"±{score.std:.1f}"


def figure_text(figure: float | None) -> str:
    """Format a figure that has no deviation; a dash if it is missing."""
    return "-" if figure is None else f"{figure:.1f}"


def title(table: Comparison | Matrix) -> str:
    """Return the title of a comparison or matrix: task, split and metric."""
    return f"{table.task}, {table.split} split: {table.metric} (%)"


def role(comparison: Comparison, language: str) -> str:
    """Return the role of a language in a comparison.

    Args:
        comparison: The comparison.
        language: One of its languages.

    Returns:
        'source', 'auxiliary' or 'target'.
    """
    if language == comparison.source:
        return "source"
    return "auxiliary" if language in comparison.auxiliary else "target"


def describe(comparison: Comparison) -> list[str]:
    """Describe how the rows of a comparison differ from the first.

    Args:
        comparison: The comparison.

    Returns:
        A sentence for each row after the first.
    """
    first, targets, margin = comparison.rows[0].label, comparison.targets, comparison.margin
    return [
        describe_difference(row.label, first, row.difference, targets, margin)
        for row in comparison.rows
        if row.difference
    ]


def notes(comparison: Comparison) -> list[str]:
    """Explain the numbers of a comparison: averages, seeds, intervals, and the labels that each row was trained on.

    Args:
        comparison: The comparison.

    Returns:
        The sentences below a table.
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


def describe_matrix(matrix: Matrix) -> list[str]:
    """Describe the best row of a matrix, and its differences to the baseline and to the second-best row.

    Args:
        matrix: The matrix.

    Returns:
        The sentences.
    """
    if matrix.common:
        mean = f"the mean over the {targets_text(matrix.common)} that no row was trained on"
    elif matrix.baseline is not None:
        mean = f"the difference to {matrix.baseline.label} over the target languages that a row was not trained on"
    else:
        mean = "the mean over the target languages that a row was not trained on"
    best = [f"best of {len(matrix.rows)} rows by {mean}: {matrix.best}"] if len(matrix.rows) > 1 else []
    return [
        *best,
        *(
            describe_difference(matrix.best, lead.other, lead.difference, lead.languages, matrix.margin)
            for lead in matrix.differences_of_best
        ),
    ]


def matrix_notes(matrix: Matrix) -> list[str]:
    """Explain the numbers of a matrix.

    Args:
        matrix: The matrix.

    Returns:
        The sentences below a table.
    """
    sentences = [
        f"Languages in brackets are those that a row was trained on besides {matrix.source}; its mean is without them."
        if any(row.trained_on for row in matrix.all_rows)
        else f"The mean is over {targets_text(matrix.targets)}, without source {matrix.source}."
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
        sentences.append("The best row is chosen and judged by the same scores, which flatters it.")
    return sentences


def _mean_note(comparison: Comparison) -> str:
    auxiliary = f" and auxiliary {join_names(comparison.auxiliary)}" if comparison.auxiliary else ""
    return f"The mean is over {targets_text(comparison.targets)}, without source {comparison.source}{auxiliary}."


def _seeds_note(comparison: Comparison) -> str:
    if len(comparison.seeds) == 1:
        return f"One seed ({comparison.seeds[0]}), so no standard deviations."
    return f"Cells: mean ± standard deviation over {len(comparison.seeds)} seeds ({join_names(comparison.seeds)})."


def _published_note(comparison: Comparison) -> str:
    note = (
        f"Published figures: {published.SOURCE_IN_FULL}. They have no seeds, differences or intervals; their mean is "
        "over the same target languages"
    )
    if any(row.target_mean is None for row in comparison.published):
        note += " (- where one is lacking)"
    if comparison.metric == "recall@1":
        note += "; their recall@1 is the mean of the published image and text recall@1"
    every, labelled = published.ALL_AND_LABELLED.get(comparison.task, (0, 0))
    if labelled in comparison.examples.values():
        note += (
            f"; they count the {every - labelled} of {every} examples without a label as wrong, and are given "
            f"over the other {labelled}, as all rows are"
        )
    return f"{note}."


def _lmms_eval_note(comparison: Comparison) -> str:
    lacking = any(row.target_mean is None for row in comparison.lmms_eval)
    return (
        "Rows of lmms-eval are single runs without differences or intervals, over the same examples; their mean is "
        f"over the same target languages{' (- where one is lacking)' if lacking else ''}."
    )


def _training_notes(rows: tuple[Row, ...]) -> list[str]:
    """Explain the labels and steps of rows, what they started from, and where they differ in more than the trainer."""
    amounts = {row.label: f"{row.labels_per_step} labelled examples per step, {row.steps} steps" for row in rows}
    languages = {row.label: join_names(row.training_languages) or "none" for row in rows}
    starts = {row.label: row.started_from for row in rows}
    scored = {row.label: row.scored for row in rows}
    sentences = []
    if _all_equal(amounts):
        sentences.append(f"Every row: {amounts[rows[0].label]}.")
    else:
        sentences.append(f"Rows differ in labels or steps: {_by_fact(amounts)}.")
    adapted = {row.label: row.adapted for row in rows if row.adapted}
    if adapted:
        sentences.append(f"A model of its own for each language but the source, adapted: {_by_fact(adapted)}.")
    if not _all_equal(languages):
        sentences.append(f"Rows differ in auxiliary languages trained on: {_by_fact(languages)}.")
    if len(rows) > 1:
        sentences.append(f"Started from: {_by_fact(starts)}.")
    if any("@" in name for name in scored.values()):
        sentences.append(f"Scores are of these evaluation settings: {_by_fact(scored)}.")
    return sentences


def _all_equal(facts: dict[str, str]) -> bool:
    return len(set(facts.values())) == 1


def _by_fact(facts: dict[str, str]) -> str:
    """Group labels by their fact, as in 'a, b: 64 labels; c: 32 labels'."""
    distinct = dict.fromkeys(facts.values())
    return "; ".join(f"{join_names(label for label in facts if facts[label] == fact)}: {fact}" for fact in distinct)
