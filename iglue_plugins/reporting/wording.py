"""The numbers and sentences that tables, files and charts have in common."""

from __future__ import annotations

from typing import NamedTuple

from iglue_plugins import published
from iglue_plugins.reporting.averages import ExternalAverageRow, TaskAverage
from iglue_plugins.reporting.comparison import Comparison, LMMSEvalRow, PublishedRow
from iglue_plugins.reporting.interval_wording import describe_difference, targets_text
from iglue_plugins.reporting.matrix import Matrix
from iglue_plugins.reporting.results import join_names
from iglue_plugins.reporting.scores import Score, without_noise
from iglue_plugins.reporting.slices import SliceTable

PUBLISHED_HEADING = f"published by {published.SOURCE}"
LMMS_EVAL_HEADING = "evaluated by lmms-eval"


class Block(NamedTuple):
    """External rows of one kind: published figures, or results of lmms-eval.

    Attributes:
        heading: The heading above the rows in tables.
        rows: The rows.
    """

    heading: str
    rows: tuple[PublishedRow, ...] | tuple[LMMSEvalRow, ...] | tuple[ExternalAverageRow, ...]


def blocks(table: Comparison | TaskAverage) -> list[Block]:
    """List the blocks of external rows of a table.

    Args:
        table: The comparison or average.

    Returns:
        The blocks that have rows.
    """
    every = (
        Block(PUBLISHED_HEADING, table.published),
        Block(LMMS_EVAL_HEADING, table.lmms_eval),
    )
    return [block for block in every if block.rows]


def mean_text(score: Score) -> str:
    """Format the mean of a score."""
    return figure_text(score.mean)


def std_text(score: Score) -> str:
    """Format the standard deviation of a score, with its sign; an empty string for a single seed."""
    return "" if score.std is None else f"±{figure_text(score.std)}"


def score_text(score: Score | None) -> str:
    """Format the mean of a score with its deviation, if it has one; a dash if there is no score."""
    return "-" if score is None else f"{mean_text(score)} {std_text(score)}".strip()


def figure_text(figure: float | None) -> str:
    """Format a figure that has no deviation; a dash if it is missing. 62.74999999999999 is 62.75, and so 62.8."""
    return "-" if figure is None else f"{without_noise(figure):.1f}"


def title(table: Comparison | Matrix | TaskAverage | SliceTable) -> str:
    """Return the title of a table: task, split and metric."""
    if isinstance(table, TaskAverage):
        metrics = join_names(dict.fromkeys(table.metrics.values()))
        return f"average over {len(table.tasks)} tasks, {table.split} split: {metrics} (%)"
    return f"{table.task}, {table.split} split: {table.metric} (%)"


def role(comparison: Comparison, language: str) -> str:
    """Return the role of a language in a comparison.

    Args:
        comparison: The comparison.
        language: One of its languages.

    Returns:
        'source', 'auxiliary' or 'target'.
    """
    if language in comparison.sources:
        return "source"
    return "auxiliary" if language in comparison.auxiliary else "target"


def describe(table: Comparison | TaskAverage) -> list[str]:
    """Describe how the rows of a comparison or average differ from the first.

    Args:
        table: The comparison or average.

    Returns:
        A sentence for each row that has a difference.
    """
    over = f"{len(table.tasks)} tasks" if isinstance(table, TaskAverage) else targets_text(table.targets)
    return [
        describe_difference(row.label, table.rows[0].label, row.difference, over, table.margin)
        for row in table.rows
        if row.difference
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
            describe_difference(matrix.best, lead.other, lead.difference, targets_text(lead.languages), matrix.margin)
            for lead in matrix.differences_of_best
        ),
    ]
