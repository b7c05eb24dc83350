"""Slices as tables in the terminal and in Markdown, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from iglue_plugins.evaluation.significance import Difference
from iglue_plugins.reporting.exports import FORMAT, json_value
from iglue_plugins.reporting.interval_wording import corrected_text
from iglue_plugins.reporting.markdown import difference_cells, markdown_text
from iglue_plugins.reporting.slice_wording import NOUNS, describe_slopes, slice_notes, slope_name
from iglue_plugins.reporting.slices import Slice, SlicedQuantity, SliceTable
from iglue_plugins.reporting.table_columns import (
    TableColumn,
    difference_cell,
    rich_table,
    score_cell,
    split_to_width,
)
from iglue_plugins.reporting.wording import score_text, title
from iglue_plugins.utils.text import escape_markdown

ALL = "all"  # the name of the line over all examples


@dataclass(frozen=True)
class SlicesView:
    """A rich renderable of the slices of a task.

    There is a table for each quantity, with a line for each slice, one for the slope, and one for all examples. A table
    that is wider than the console is split into several, one below the other.

    Attributes:
        table: The slices.
    """

    table: SliceTable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(title(self.table), style="bold")
        for quantity in self.table.quantities:
            yield Text(f"by {NOUNS[quantity.name]}", style="italic")
            labels, groups = _columns(self.table, quantity)
            for block in split_to_width(groups, options.max_width - labels.width):
                yield rich_table([labels, *block])
            yield Text("")
        yield from (Text(sentence, style="dim") for sentence in slice_notes(self.table))


def _columns(table: SliceTable, quantity: SlicedQuantity) -> tuple[TableColumn, list[list[TableColumn]]]:
    """Make the column of the slices' names, and the others in groups that stay together where a table is split."""
    names, baseline = [Text(each.name) for each in quantity.slices], table.labels[0]
    slope_names = [Text(slope_name(quantity))] if quantity.slopes else []
    examples = [Text(_examples_text(each)) for each in quantity.slices]
    images = [Text(_images_text(each)) for each in quantity.slices]
    scores = [score_cell(each.scores[baseline]) for each in quantity.slices]
    no_slopes = [Text("") for _ in slope_names]
    groups = [
        [
            TableColumn("examples\na language", examples, "dim", [[*no_slopes, Text("")]]),
            TableColumn("\nimages", images, "dim", [[*no_slopes, Text("")]]),
            TableColumn(f"{baseline}\nmean", scores, "bold", [[*no_slopes, score_cell(table.scores[baseline])]]),
        ]
    ]
    for label, slope in quantity.slopes.items():
        cells = [each.differences[label] for each in quantity.slices]
        last = [slope, table.differences[label]]
        groups.append(
            [
                TableColumn(f"{label}\ndiff", [*map(difference_cell, cells)], "", [[*map(difference_cell, last)]]),
                TableColumn("\ncorrected", [*map(_corrected_cell, cells)], "dim", [[*map(_corrected_cell, last)]]),
            ]
        )
    return TableColumn("", names, "", [[*slope_names, Text(ALL)]]), groups


def _corrected_cell(difference: Difference) -> Text:
    """Make the cell of a corrected interval, beside the other interval."""
    return Text(f"\n{corrected_text(difference)}" if difference.compared > 1 else "")


def _examples_text(each: Slice) -> str:
    """Format the number of examples of a language, such as '201' or '128-140'."""
    fewest, most = min(each.examples.values()), max(each.examples.values())
    return str(fewest) if fewest == most else f"{fewest}-{most}"


def _images_text(each: Slice) -> str:
    return "-" if each.images is None else str(each.images)


def slices_markdown(table: SliceTable) -> str:
    """Format slices as tables of Markdown, one for each quantity, with the notes below the last one.

    Args:
        table: The slices.
    """
    notes = [*slice_notes(table), *describe_slopes(table)]
    texts = [
        markdown_text(
            f"{title(table)}, by {NOUNS[quantity.name]}",
            [[escape_markdown(cell) for cell in row] for row in slice_cells(table, quantity)],
            notes if quantity is table.quantities[-1] else [],
        ).rstrip("\n")
        for quantity in table.quantities
    ]
    if not texts:
        items = [f"- {escape_markdown(note)}" for note in notes]
        texts = ["\n".join([f"**{escape_markdown(title(table))}**", "", *items])]
    return "\n\n".join(texts) + "\n"


def slice_cells(table: SliceTable, quantity: SlicedQuantity) -> list[list[str]]:
    """Return the texts of the cells of a quantity's rounded table.

    Args:
        table: The slices of the task.
        quantity: One of its quantities.

    Returns:
        The header, and a row for each slice, for the slopes where there are any, and for all examples.
    """
    baseline, others = table.labels[0], list(quantity.slopes)
    headers = [header for label in others for header in (label, "corrected")]
    rows = [["slice", "examples a language", "images", baseline, *headers]]
    for each in quantity.slices:
        sizes = [_examples_text(each), _images_text(each), score_text(each.scores[baseline])]
        rows.append([each.name, *sizes, *_difference_pairs([each.differences[label] for label in others])])
    if others:
        rows.append([slope_name(quantity), "", "", "", *_difference_pairs(list(quantity.slopes.values()))])
    every = _difference_pairs([table.differences[label] for label in others])
    return [*rows, [ALL, "", "", score_text(table.scores[baseline]), *every]]


def _difference_pairs(differences: Sequence[Difference]) -> list[str]:
    """Make two cells of each difference, the second one of which is empty where nothing is corrected."""
    cells = [[*difference_cells(each, each.compared, None), ""][:2] for each in differences]
    return [cell for pair in cells for cell in pair]


def slices_json(tables: Sequence[SliceTable]) -> dict[str, Any]:
    """Convert the slices of tasks for a JSON file, with numbers of 12 significant digits.

    Args:
        tables: The slices of each task.

    Returns:
        {"format", "tasks"}; a task has what `SliceTable` has, with the notes and the sentences on slopes.
    """
    tasks = [
        {**json_value(table, None), "summary": describe_slopes(table), "notes": slice_notes(table)} for table in tables
    ]
    return {"format": FORMAT, "tasks": tasks}
