"""Tables in Markdown, as GitHub renders it."""

from __future__ import annotations

from collections.abc import Sequence

from iglue_plugins.evaluation.significance import Difference
from iglue_plugins.reporting.averages import TaskAverage
from iglue_plugins.reporting.comparison import Comparison
from iglue_plugins.reporting.interval_wording import corrected_text, difference_text, interval_text, points_text
from iglue_plugins.reporting.table_rows import table_rows
from iglue_plugins.reporting.wording import figure_text, score_text
from iglue_plugins.utils.text import escape_markdown


def table_markdown(table: Comparison | TaskAverage, sentences: Sequence[str]) -> str:
    """Format a table of Markdown, with a column for each language of a comparison or each task of an average.

    Args:
        table: The comparison or average.
        sentences: The notes below the table.
    """
    shown = table_rows(table)
    count = shown.differences
    headers = difference_headers(count, shown.margin) if count else []
    rows = [["", *(_header(name, shown.roles.get(name, "target")) for name in shown.names), *headers]]
    for row in shown.rows:
        differences = difference_cells(row.difference, count, shown.margin) if count else []
        rows.append([row.label, *map(score_text, row.scores), *differences])
    escaped = [[escape_markdown(cell) for cell in row] for row in rows]
    for heading, of_block in shown.blocks:
        escaped.append([f"*{escape_markdown(heading)}*", *[""] * (len(rows[0]) - 1)])
        for figures in of_block:
            cells = [escape_markdown(figures.label), *map(figure_text, figures.figures)]
            escaped.append([*cells, *[""] * len(headers)])
    return markdown_text(shown.title, escaped, sentences)


def _header(name: str, role: str) -> str:
    return name if role == "target" else f"{name} ({role})"


def difference_headers(differences: int, margin: float | None) -> list[str]:
    """Return the headers of the columns of a difference in a rounded table.

    Args:
        differences: The number of differences in the table; several have a column of corrected intervals.
        margin: The margin of the verdicts, in points; None has no column of verdicts.
    """
    verdicts = [] if margin is None else [f"margin {points_text(margin)}"]
    return ["difference", *(["corrected"] if differences > 1 else []), *verdicts]


def difference_cells(difference: Difference | None, differences: int, margin: float | None) -> list[str]:
    """Return the cells of a difference, as many as it has headers.

    Args:
        difference: The difference; None has empty cells.
        differences: The number of differences in the table.
        margin: The margin of the verdicts, in points.
    """
    if difference is None:
        return [""] * len(difference_headers(differences, margin))
    corrected = [corrected_text(difference)] if differences > 1 else []
    verdicts = [] if margin is None else [difference.verdict(margin)]
    return [f"{difference_text(difference)} {interval_text(difference)}", *corrected, *verdicts]


def markdown_text(heading: str, rows: Sequence[Sequence[str]], sentences: Sequence[str]) -> str:
    """Format a table with a heading and notes as Markdown.

    Args:
        heading: The heading above the table.
        rows: Escaped cells, the header first.
        sentences: The notes below the table.

    Returns:
        The text of the file.
    """
    rule = ["---", *["---:"] * (len(rows[0]) - 1)]
    lines = [f"| {' | '.join(cells)} |" for cells in (rows[0], rule, *rows[1:])]
    items = [f"- {escape_markdown(sentence)}" for sentence in sentences]
    return "\n".join([f"**{escape_markdown(heading)}**", "", *lines, "", *items]) + "\n"
