"""The rows of comparisons and of averages over tasks in one form, for files that show both alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from iglue_plugins.evaluation.significance import Difference
from iglue_plugins.reporting.averages import TaskAverage
from iglue_plugins.reporting.comparison import Comparison
from iglue_plugins.reporting.scores import Score
from iglue_plugins.reporting.wording import LMMS_EVAL_HEADING, PUBLISHED_HEADING, role, title


class ScoredRow(NamedTuple):
    """A row of runs.

    Attributes:
        label: The label.
        scores: A score for each name of the table; None where the row lacks one.
        difference: The difference to the first row.
    """

    label: str
    scores: list[Score | None]
    difference: Difference | None


class FigureRow(NamedTuple):
    """A row of figures that have no seeds.

    Attributes:
        label: The label.
        figures: A figure for each name of the table; None where the row lacks one.
    """

    label: str
    figures: list[float | None]


@dataclass(frozen=True)
class TableRows:
    """The rows of a table.

    Attributes:
        title: The title.
        names: The headers of the scores, the last one that of the means.
        roles: The roles of languages by name: 'source', 'auxiliary' or 'target'; empty for an average.
        rows: The rows of runs.
        blocks: The rows of each kind that are no runs, with a heading.
        margin: The margin of the verdicts, in points, or None.
    """

    title: str
    names: list[str]
    roles: dict[str, str]
    rows: list[ScoredRow]
    blocks: list[tuple[str, list[FigureRow]]]
    margin: float | None

    @property
    def differences(self) -> int:
        """The number of rows that have a difference."""
        return sum(row.difference is not None for row in self.rows)


def table_rows(table: Comparison | TaskAverage) -> TableRows:
    """List the rows of a table.

    Args:
        table: A comparison, whose scores are those of its languages, or an average, with those of its tasks.

    Returns:
        The rows.
    """
    names, roles, rows, published, lmms_eval = (
        _average_rows(table) if isinstance(table, TaskAverage) else _comparison_rows(table)
    )
    blocks = [block for block in ((PUBLISHED_HEADING, published), (LMMS_EVAL_HEADING, lmms_eval)) if block[1]]
    return TableRows(title(table), names, roles, rows, blocks, table.margin)


Rows = tuple[list[str], dict[str, str], list[ScoredRow], list[FigureRow], list[FigureRow]]


def _comparison_rows(comparison: Comparison) -> Rows:
    languages = comparison.languages
    roles = {language: role(comparison, language) for language in languages}
    published, lmms_eval = (
        [FigureRow(row.label, [*map(row.languages.get, languages), row.target_mean]) for row in of_kind]
        for of_kind in (comparison.published, comparison.lmms_eval)
    )
    rows = [
        ScoredRow(row.label, [*map(row.languages.get, languages), row.target_mean], row.difference)
        for row in comparison.rows
    ]
    return [*languages, "mean"], roles, rows, published, lmms_eval


def _average_rows(average: TaskAverage) -> Rows:
    published, lmms_eval = (
        [FigureRow(row.label, [*map(row.tasks.get, average.tasks), row.average]) for row in of_kind]
        for of_kind in (average.published, average.lmms_eval)
    )
    rows = [
        ScoredRow(row.label, [*map(row.tasks.get, average.tasks), row.average], row.difference) for row in average.rows
    ]
    return [*average.tasks, "average"], {}, rows, published, lmms_eval
