"""Tables of comparisons, matrices and single runs in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rich.columns import Columns
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.text import Text

from iglue_plugins.reporting.averages import TaskAverage
from iglue_plugins.reporting.comparison import Comparison, LMMSEvalRow, PublishedRow
from iglue_plugins.reporting.details import average_details, details, matrix_details
from iglue_plugins.reporting.matrix import Matrix, MatrixRow
from iglue_plugins.reporting.notes import average_notes, matrix_notes, notes
from iglue_plugins.reporting.table_columns import (
    TableColumn,
    difference_cell,
    judgement_columns,
    one_line,
    one_line_difference,
    rich_table,
    score_cell,
    split_to_width,
)
from iglue_plugins.reporting.table_rows import table_rows
from iglue_plugins.reporting.wording import blocks, figure_text, mean_text, role, title

ROLE_HEADERS = {"source": "src", "auxiliary": "aux", "target": ""}


@dataclass(frozen=True)
class ComparisonTable:
    """A rich renderable of a comparison.

    There is a row for each trainer, with the mean and the deviation in each language, the target mean, and its
    difference to the first row. External rows follow in blocks with headings. A table that is wider than the console is
    split into several, one below the other. A significant difference has a star as well as a color.

    Attributes:
        comparison: The comparison.
        full: Whether all that is known stands below the table, instead of the notes.
    """

    comparison: Comparison
    full: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        labels = TableColumn(
            "",
            [Text(row.label) for row in self.comparison.rows],
            below=_below(self.comparison, lambda row: row.label, headings=True),
        )
        below = details if self.full else notes
        yield from _rendered(
            title(self.comparison), labels, column_groups(self.comparison), below(self.comparison), options
        )


def _rendered(
    heading: str,
    labels: TableColumn,
    groups: list[list[TableColumn]],
    sentences: Sequence[str],
    options: ConsoleOptions,
) -> RenderResult:
    """Yield a heading, the tables that fit the console, and the sentences below them."""
    yield Text(heading, style="bold")
    for block in split_to_width(groups, options.max_width - labels.width):
        yield rich_table([labels, *block])
    yield from (Text(sentence, style="dim") for sentence in sentences)


def column_groups(comparison: Comparison) -> list[list[TableColumn]]:
    """Make the columns of a comparison, in groups that stay together where a table is split.

    Args:
        comparison: The comparison.

    Returns:
        A group for each language, one with the target mean and, if there are several rows, the difference, and a last
        one, if it has columns, with corrected intervals and verdicts.
    """
    groups = []
    for language in comparison.languages:
        of_role = role(comparison, language)
        cells = [score_cell(row.languages[language]) for row in comparison.rows]
        below = _below(comparison, partial(_language_text, language=language))
        style = "" if of_role == "target" else "dim"
        groups.append([TableColumn(f"{language}\n{ROLE_HEADERS[of_role]}", cells, style, below)])
    means = _below(comparison, lambda row: figure_text(row.target_mean))
    groups.append([TableColumn("\nmean", [score_cell(row.target_mean) for row in comparison.rows], "bold", means)])
    if len(comparison.rows) > 1:
        none = _below(comparison, lambda row: "")
        differences = [row.difference for row in comparison.rows]
        groups[-1].append(TableColumn("\ndiff", [difference_cell(each) for each in differences], below=none))
        judgements = judgement_columns(differences, comparison.margin, lead="\n")
        groups += [[replace(column, below=none) for column in judgements]] if judgements else []
    return groups


def _language_text(row: PublishedRow | LMMSEvalRow, language: str) -> str:
    return figure_text(row.languages.get(language))


def _below(table: Comparison | TaskAverage, text: Callable[[Any], str], headings: bool = False) -> list[list[Text]]:
    """Make a column's cells in each block of external rows; headings are for the first column, on two lines."""
    return [
        [
            Text(block.heading.replace(" by ", " by\n") if headings else "", style="italic"),
            *(Text(text(row)) for row in block.rows),
        ]
        for block in blocks(table)
    ]


@dataclass(frozen=True)
class AverageTable:
    """A rich renderable of an average over tasks, with a column for each task's mean over its target languages.

    Attributes:
        average: The average.
        full: Whether all that is known stands below the table, instead of the notes.
    """

    average: TaskAverage
    full: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        below = _below(self.average, lambda row: row.label, headings=True)
        labels = TableColumn("", [Text(row.label) for row in self.average.rows], below=below)
        sentences = average_details if self.full else average_notes
        yield from _rendered(
            title(self.average), labels, average_groups(self.average), sentences(self.average), options
        )


def average_groups(average: TaskAverage) -> list[list[TableColumn]]:
    """Make the columns of an average, in groups that stay together where a table is split.

    Args:
        average: The average.

    Returns:
        A group for each task, one with the average and, if there is one, the difference, and a last one, if it has
        columns, with corrected intervals and verdicts.
    """
    shown = table_rows(average)
    groups = []
    for index, name in enumerate(shown.names):
        scores = [row.scores[index] for row in shown.rows]
        cells = [Text("-") if score is None else score_cell(score) for score in scores]
        below = [[Text(""), *(Text(figure_text(row.figures[index])) for row in rows)] for _, rows in shown.blocks]
        is_mean = index == len(shown.names) - 1
        header, style = (f"\n{name}", "bold") if is_mean else (f"{name}\n", "")
        groups.append([TableColumn(header, cells, style, below)])
    if shown.differences:
        none = _below(average, lambda row: "")
        differences = [row.difference for row in shown.rows]
        groups[-1].append(TableColumn("\ndiff", [difference_cell(each) for each in differences], below=none))
        judgements = judgement_columns(differences, shown.margin, lead="\n")
        groups += [[replace(column, below=none) for column in judgements]] if judgements else []
    return groups


@dataclass(frozen=True)
class MatrixTable:
    """A rich renderable of a matrix.

    There is a row for each setting, after that of the baseline, with the mean in each language and the means over
    languages. Scores in languages that a row was trained on are in brackets. A table that is wider than the console is
    split into several, one below the other.

    Attributes:
        matrix: The matrix.
        full: Whether all that is known stands below the table, instead of the notes.
    """

    matrix: Matrix
    full: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        labels = TableColumn("", [Text(row.label) for row in self.matrix.all_rows])
        below = matrix_details if self.full else matrix_notes
        yield from _rendered(title(self.matrix), labels, matrix_groups(self.matrix), below(self.matrix), options)


def matrix_groups(matrix: Matrix) -> list[list[TableColumn]]:
    """Make the columns of a matrix, in groups that stay together where a table is split.

    Args:
        matrix: The matrix.

    Returns:
        A group for each language, one with the means and, if there is a baseline, the difference to it, and a last one,
        if it has columns, with corrected intervals and verdicts.
    """
    rows = matrix.all_rows
    groups = [
        [
            TableColumn(
                f"{language}\n{'src' if language in matrix.sources else ''}",
                [_matrix_cell(row, language) for row in rows],
                "dim" if language in matrix.sources else "",
            )
        ]
        for language in matrix.languages
    ]
    groups.append([TableColumn("\nmean", [one_line(row.unseen_mean) for row in rows], "bold")])
    if matrix.common and matrix.means_differ:
        common_means = [row.common_mean for row in rows if row.common_mean is not None]
        groups[-1].append(TableColumn("\ncommon", [one_line(mean) for mean in common_means], "bold"))
    if matrix.baseline is not None:
        differences = [row.difference for row in rows]
        groups[-1].append(TableColumn("\ndiff", [one_line_difference(each) for each in differences]))
        judgements = judgement_columns(differences, matrix.margin, lead="")
        groups += [judgements] if judgements else []
    return groups


def _matrix_cell(row: MatrixRow, language: str) -> Text:
    mean = mean_text(row.languages[language])
    return Text(f"({mean})", style="dim") if language in row.trained_on else Text(mean)


def render_record(record: dict[str, Any], split: str) -> Group:
    """Render the main metric of one run in each language.

    Args:
        record: The run's record.
        split: The split whose scores to show.

    Returns:
        A heading and the scores, as a rich renderable.
    """
    metric = record["main_metric"]
    scores = [f"{language} {of_language[metric]:.1f}" for language, of_language in record["scores"][split].items()]
    limit = f", limited to {record['limit']} steps and examples" if record.get("limit") else ""
    heading = Text(f"{record['name']}: {record['task']}, {split} split, {metric} (%){limit}", style="bold")
    return Group(heading, Columns(scores, padding=(0, 3), equal=True))
