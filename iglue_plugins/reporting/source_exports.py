"""The files and the table of a sweep from several source languages."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from iglue_plugins.reporting.csv_rows import csv_text, difference_columns
from iglue_plugins.reporting.interval_wording import (
    SIGNIFICANT,
    SIGNIFICANT_CORRECTED,
    significance_mark,
)
from iglue_plugins.reporting.markdown import markdown_text
from iglue_plugins.reporting.notes import seeds_text
from iglue_plugins.reporting.source_comparison import SourceComparison, SourceRow
from iglue_plugins.reporting.table_columns import TableColumn, rich_table, split_to_width
from iglue_plugins.reporting.wording import mean_text, score_text
from iglue_plugins.utils.files import write_atomic
from iglue_plugins.utils.text import escape_markdown


class SourceTable:
    """A rich renderable of a sweep from several sources, split where it is wider than the console.

    Args:
        comparison: The comparison of the sources.
    """

    def __init__(self, comparison: SourceComparison) -> None:
        self._comparison = comparison

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        header, *rows = source_cells(self._comparison)
        columns = [
            TableColumn(name, [Text(row[place]) for row in rows], "bold" if name == "mean" else "")
            for place, name in enumerate(header)
        ]
        yield Text(source_title(self._comparison), style="bold")
        for block in split_to_width([[column] for column in columns[1:]], options.max_width - columns[0].width):
            yield rich_table([columns[0], *block])
        yield from (Text(sentence, style="dim") for sentence in source_notes(self._comparison))


def source_title(comparison: SourceComparison) -> str:
    """Return the title of the table."""
    measure = "differences to the stage before (points)" if comparison.has_differences else f"{comparison.metric} (%)"
    return f"{comparison.task}, {comparison.split} split, by source: {measure}"


def source_cells(comparison: SourceComparison) -> list[list[str]]:
    """Return the cells of the rounded table: the header, and a row for each source.

    Args:
        comparison: The comparison of the sources.
    """
    first = comparison.rows[0].source
    with_differences = comparison.has_differences
    header = ["source", *(["baseline"] if with_differences else []), *comparison.labels]
    rows = [[*header, *(["mean"] if with_differences else []), f"as {first}"]]
    for row in comparison.rows:
        cells = [row.source, *([score_text(row.baseline)] if with_differences else [])]
        cells += [cell_text(row, label, with_differences) for label in comparison.labels]
        if with_differences:
            cells.append("" if row.mean_difference is None else f"{row.mean_difference:+z.1f}")
        rows.append([*cells, "" if row.agreement is None else f"{row.agreement:.2f}"])
    return rows


def cell_text(row: SourceRow, label: str, with_differences: bool) -> str:
    """Return the text of a setting's cell; empty where the source has no such row.

    Args:
        row: The row of the source.
        label: The label of the setting.
        with_differences: Whether cells are differences rather than means.
    """
    if label not in row.means:
        return ""
    if not with_differences:
        return mean_text(row.means[label])
    difference = row.differences[label]
    return f"{difference.difference:+z.1f}{significance_mark(difference)}"


def source_notes(comparison: SourceComparison) -> list[str]:
    """Explain the numbers of the table.

    Args:
        comparison: The comparison of the sources.

    Returns:
        The sentences below the table.
    """
    where = "the target languages that a row was not trained on, in no stage"
    first = comparison.rows[0].source
    agreement = (
        f"'as {first}' is the rank correlation (Spearman's) of a source's cells with those of {first}, over the "
        "columns that both have."
    )
    scores = f"scores are {seeds_text(comparison.seeds)}"
    if not comparison.has_differences:
        return [f"Cells are means over {where}; {scores}.", agreement]
    return [
        f"Cells are differences to the baseline of the same source, in points, over {where}; {scores}.",
        f"{SIGNIFICANT}: the 95 % interval excludes 0; {SIGNIFICANT_CORRECTED}: so does the one corrected for all rows "
        "of the source. The mean is over the columns, and has no interval.",
        agreement,
    ]


def write_sources(comparison: SourceComparison, folder: Path) -> list[Path]:
    """Write sources.csv, with a line for each source and setting, and sources.md, each atomically.

    Args:
        comparison: The comparison of the sources.
        folder: The folder to write to.

    Returns:
        The paths of the files.

    Raises:
        UserError: A file cannot be written.
    """
    lines = [_line(row, label) for row in comparison.rows for label in comparison.labels if label in row.means]
    rows = [[escape_markdown(cell) for cell in cells] for cells in source_cells(comparison)]
    text = markdown_text(source_title(comparison), rows, source_notes(comparison))
    return [
        write_atomic(Path(folder) / "sources.csv", csv_text(lines).encode()),
        write_atomic(Path(folder) / "sources.md", text.encode()),
    ]


def _line(row: SourceRow, label: str) -> dict[str, object]:
    return {
        "source": row.source,
        "label": label,
        "baseline": row.baseline and row.baseline.mean,
        "mean_unseen": row.means[label].mean,
        "mean_unseen_std": row.means[label].std,
        **difference_columns(row.differences.get(label), None),
    }
