"""Tables of comparisons, matrices and single runs in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any

from rich import box
from rich.columns import Columns
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

from iglue_plugins.evaluation.significance import Difference
from iglue_plugins.reporting.comparison import Comparison, LMMSEvalRow, PublishedRow
from iglue_plugins.reporting.interval_wording import corrected_text, difference_text, interval_text
from iglue_plugins.reporting.matrix import Matrix, MatrixRow
from iglue_plugins.reporting.scores import Score
from iglue_plugins.reporting.wording import (
    blocks,
    figure_text,
    matrix_notes,
    mean_text,
    notes,
    role,
    std_text,
    title,
)

ROLE_HEADERS = {"source": "src", "auxiliary": "aux", "target": ""}


@dataclass(frozen=True)
class TableColumn:
    """A column of a table.

    Attributes:
        header: The header, of one or two lines.
        cells: A cell for each row.
        style: The rich style of the column.
        below: For each block of external rows, a cell for its heading and one for each of its rows.
    """

    header: str
    cells: list[Text]
    style: str = ""
    below: list[list[Text]] = field(default_factory=list)

    @property
    def width(self) -> int:
        """The number of characters that the column takes, with the space beside it."""
        cells = [cell.plain for cell in chain(self.cells, *self.below)]
        lines = [line for text in (self.header, *cells) for line in text.split("\n")]
        return max(map(len, lines)) + 1


@dataclass(frozen=True)
class ComparisonTable:
    """A rich renderable of a comparison.

    There is a row for each trainer, with the mean and the deviation in each language, the target mean, and its
    difference to the first row. External rows follow in blocks with headings. A table that is wider than the console is
    split into several, one below the other. A significant difference has a star as well as a color.

    Attributes:
        comparison: The comparison.
    """

    comparison: Comparison

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        labels = TableColumn(
            "",
            [Text(row.label) for row in self.comparison.rows],
            below=_below(self.comparison, lambda row: row.label, headings=True),
        )
        yield Text(title(self.comparison), style="bold")
        for block in split_to_width(column_groups(self.comparison), options.max_width - labels.width):
            yield _table([labels, *block])
        yield from (Text(note, style="dim") for note in notes(self.comparison))


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
        cells = [_score_cell(row.languages[language]) for row in comparison.rows]
        below = _below(comparison, partial(_language_text, language=language))
        style = "" if of_role == "target" else "dim"
        groups.append([TableColumn(f"{language}\n{ROLE_HEADERS[of_role]}", cells, style, below)])
    means = _below(comparison, lambda row: figure_text(row.target_mean))
    groups.append([TableColumn("\nmean", [_score_cell(row.target_mean) for row in comparison.rows], "bold", means)])
    if len(comparison.rows) > 1:
        none = _below(comparison, lambda row: "")
        differences = [row.difference for row in comparison.rows]
        groups[-1].append(TableColumn("\ndiff", [_difference_cell(each) for each in differences], below=none))
        judgements = _judgement_columns(differences, comparison.margin, lead="\n")
        groups += [[replace(column, below=none) for column in judgements]] if judgements else []
    return groups


def _language_text(row: PublishedRow | LMMSEvalRow, language: str) -> str:
    return figure_text(row.languages.get(language))


def _below(
    comparison: Comparison, text: Callable[[PublishedRow | LMMSEvalRow], str], headings: bool = False
) -> list[list[Text]]:
    """Make a column's cells in each block of external rows; headings are for the first column, on two lines."""
    return [
        [
            Text(block.heading.replace(" by ", " by\n") if headings else "", style="italic"),
            *(Text(text(row)) for row in block.rows),
        ]
        for block in blocks(comparison)
    ]


def split_to_width(groups: list[list[TableColumn]], width: int) -> list[list[TableColumn]]:
    """Split columns into tables that fit a width.

    Args:
        groups: Groups of columns; a group is never split.
        width: The number of characters of a line.

    Returns:
        The columns of each table, in their order.
    """
    tables: list[list[TableColumn]] = [[]]
    for group in groups:
        if tables[-1] and sum(column.width for column in (*tables[-1], *group)) > width:
            tables.append([])
        tables[-1] += group
    return tables


def _table(columns: list[TableColumn]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0, collapse_padding=True)
    for number, column in enumerate(columns):
        table.add_column(column.header, justify="right" if number else "left", no_wrap=True, style=column.style)
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*cells)
    for block in zip(*(column.below for column in columns), strict=False):  # a matrix has no blocks
        table.add_section()
        for cells in zip(*block, strict=True):
            table.add_row(*cells)
    return table


@dataclass(frozen=True)
class MatrixTable:
    """A rich renderable of a matrix.

    There is a row for each setting, after that of the baseline, with the mean in each language and the means over
    languages. Scores in languages that a row was trained on are in brackets. A table that is wider than the console is
    split into several, one below the other.

    Attributes:
        matrix: The matrix.
    """

    matrix: Matrix

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        labels = TableColumn("", [Text(row.label) for row in self.matrix.all_rows])
        yield Text(title(self.matrix), style="bold")
        for block in split_to_width(matrix_groups(self.matrix), options.max_width - labels.width):
            yield _table([labels, *block])
        yield from (Text(note, style="dim") for note in matrix_notes(self.matrix))


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
                f"{language}\n{'src' if language == matrix.source else ''}",
                [_matrix_cell(row, language) for row in rows],
                "dim" if language == matrix.source else "",
            )
        ]
        for language in matrix.languages
    ]
    groups.append([TableColumn("\nmean", [_one_line(row.unseen_mean) for row in rows], "bold")])
    if matrix.common and matrix.means_differ:
        common_means = [row.common_mean for row in rows if row.common_mean is not None]
        groups[-1].append(TableColumn("\ncommon", [_one_line(mean) for mean in common_means], "bold"))
    if matrix.baseline is not None:
        differences = [row.difference for row in rows]
        groups[-1].append(TableColumn("\ndiff", [_one_line_difference(each) for each in differences]))
        judgements = _judgement_columns(differences, matrix.margin, lead="")
        groups += [judgements] if judgements else []
    return groups


def _matrix_cell(row: MatrixRow, language: str) -> Text:
    mean = mean_text(row.languages[language])
    return Text(f"({mean})", style="dim") if language in row.trained_on else Text(mean)


def _one_line(score: Score) -> Text:
    return Text(mean_text(score)).append(f" {std_text(score)}" if score.std is not None else "", style="dim not bold")


def _one_line_difference(difference: Difference | None) -> Text:
    return Text(" ").join(_difference_cell(difference).split("\n"))


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


def _score_cell(score: Score) -> Text:
    cell = Text(mean_text(score))
    return cell.append(f"\n{std_text(score)}", style="dim not bold") if score.std is not None else cell


def _difference_cell(difference: Difference | None) -> Text:
    if difference is None:
        return Text("")
    color = ("green" if difference.difference > 0 else "red") if difference.excludes_zero else ""
    return Text(difference_text(difference), style=color).append(f"\n{interval_text(difference)}", style="dim")


def _judgement_columns(differences: Sequence[Difference | None], margin: float | None, lead: str) -> list[TableColumn]:
    """Make the columns of corrected intervals, if there are several differences, and of verdicts, if there is a margin.

    Args:
        differences: The difference of each row.
        margin: The margin, in points, or None.
        lead: What stands above a corrected interval, so that it is beside the other interval.
    """
    columns = []
    if sum(difference is not None for difference in differences) > 1:
        cells = [Text(f"{lead}{corrected_text(each)}" if each else "", style="dim") for each in differences]
        columns.append(TableColumn("\ncorrected", cells))
    if margin is not None:
        cells = [Text(each.verdict(margin) if each else "") for each in differences]
        columns.append(TableColumn(f"margin\n{margin:g}", cells))
    return columns
