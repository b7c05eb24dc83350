"""The columns of tables in the terminal, their cells, and how they are split where the terminal is narrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

from rich import box
from rich.table import Table
from rich.text import Text

from iglue_plugins.evaluation.significance import Difference
from iglue_plugins.reporting.interval_wording import corrected_text, difference_text, interval_text
from iglue_plugins.reporting.scores import Score
from iglue_plugins.reporting.wording import mean_text, std_text


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


def rich_table(columns: Sequence[TableColumn]) -> Table:
    """Make a rich table of columns, the first of which has the labels of the rows."""
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


def one_line(score: Score) -> Text:
    """Make the cell of a score on one line."""
    return Text(mean_text(score)).append(f" {std_text(score)}" if score.std is not None else "", style="dim not bold")


def one_line_difference(difference: Difference | None) -> Text:
    """Make the cell of a difference on one line."""
    return Text(" ").join(difference_cell(difference).split("\n"))


def score_cell(score: Score) -> Text:
    """Make the cell of a score, with the deviation below the mean."""
    cell = Text(mean_text(score))
    return cell.append(f"\n{std_text(score)}", style="dim not bold") if score.std is not None else cell


def difference_cell(difference: Difference | None) -> Text:
    """Make the cell of a difference, with the interval below it."""
    if difference is None:
        return Text("")
    color = ("green" if difference.difference > 0 else "red") if difference.excludes_zero else ""
    return Text(difference_text(difference), style=color).append(f"\n{interval_text(difference)}", style="dim")


def judgement_columns(differences: Sequence[Difference | None], margin: float | None, lead: str) -> list[TableColumn]:
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
