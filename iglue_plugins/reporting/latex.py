"""Comparisons as tables of LaTeX that fit a column of a page of two."""

from __future__ import annotations

from collections.abc import Sequence

from iglue_plugins.evaluation.significance import Difference
from iglue_plugins.reporting.averages import TaskAverage
from iglue_plugins.reporting.comparison import Comparison
from iglue_plugins.reporting.interval_wording import corrected_text, difference_text, interval_text
from iglue_plugins.reporting.latex_layout import (
    PAGE_COLUMN,
    Column,
    Section,
    blocks_in_columns,
    blocks_in_rows,
    escape,
    width_of,
)
from iglue_plugins.reporting.table_rows import table_rows
from iglue_plugins.reporting.wording import figure_text, score_text

MOST_COLUMNS = 8  # languages that have a column each; of more, each has a row
PAGE = 520.0  # points that a table is high at most, since it is never on two pages; a4paper and letter have 540 or more
LINE = 9.5  # points
RULES = 20.0  # points that the rules of a block and the space after it take
CAPTION = 40.0  # points
SHORT_ROLES = {"source": " (src)", "auxiliary": " (aux)"}


def table_latex(table: Comparison | TaskAverage, sentences: Sequence[str]) -> str:
    """Format tables of LaTeX for the booktabs package, each as wide as a column of a page.

    Languages, or tasks of an average, have a column each, or where there are many a row each. What does not fit beside
    each other is in another block of the table, and what does not fit on the page in another table.

    Args:
        table: The comparison or average.
        sentences: The notes below the table.
    """
    shown = table_rows(table)
    last = len(shown.names) - 1
    headers = [name + SHORT_ROLES.get(shown.roles.get(name, ""), "") for name in shown.names]
    scores = [
        Column(name, [score_text(row.scores[index]) for row in shown.rows], True, index == last)
        for index, name in enumerate(headers)
    ]
    differences = _difference_columns([row.difference for row in shown.rows], shown.margin)
    sections = [Section("", [row.label for row in shown.rows], [*scores, *differences])]
    for heading, of_block in shown.blocks:
        figures = [
            Column(name, [figure_text(row.figures[index]) for row in of_block], True, index == last)
            for index, name in enumerate(headers)
        ]
        empty = [Column(column.header, [""] * len(of_block), column.own_group) for column in differences]
        sections.append(Section(heading, [row.label for row in of_block], [*figures, *empty]))
    in_columns, in_rows = blocks_in_columns(sections), blocks_in_rows(sections)
    many = len(shown.names) - 1 > MOST_COLUMNS
    tabulars = in_rows if many or len(in_rows) < len(in_columns) else in_columns
    pages = _pages(tabulars, LINE * (1 + width_of(" ".join(sentences)) // PAGE_COLUMN))
    return "\n".join(
        _table(page, f"{shown.title}{', continued' if number else ''}", [] if number else sentences)
        for number, page in enumerate(pages)
    )


def _pages(tabulars: Sequence[str], notes_height: float) -> list[list[str]]:
    """Divide blocks into tables that fit on a page, the first of them with the notes, whose height is in points."""
    pages: list[list[str]] = [[]]
    left = PAGE - CAPTION - notes_height
    for tabular in tabulars:
        height = RULES + LINE * tabular.count(r"\\")
        if pages[-1] and height > left:
            pages.append([])
            left = PAGE - CAPTION
        pages[-1].append(tabular)
        left -= height
    return pages


def _difference_columns(differences: Sequence[Difference | None], margin: float | None) -> list[Column]:
    """Make the columns of differences, their intervals and verdicts; none if there is no difference."""
    count = sum(difference is not None for difference in differences)
    if not count:
        return []
    columns = [
        Column("difference", [difference_text(each) if each else "" for each in differences], own_group=True),
        Column("interval", [interval_text(each) if each else "" for each in differences]),
    ]
    if count > 1:
        columns.append(Column("corrected", [corrected_text(each) if each else "" for each in differences]))
    if margin is not None:
        verdicts = [each.verdict(margin) if each else "" for each in differences]
        columns.append(Column(f"margin {margin:g}", verdicts, own_group=True))
    return columns


def _table(tabulars: Sequence[str], caption: str, sentences: Sequence[str]) -> str:
    below = [rf"\par\smallskip\parbox{{\linewidth}}{{\raggedright {escape(' '.join(sentences))}}}"] if sentences else []
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\footnotesize\setlength{\tabcolsep}{2.5pt}",
            "\n\\par\\medskip\n".join(tabulars),
            *below,
            rf"\caption{{{escape(caption)}.}}",
            r"\end{table}",
            "",
        ]
    )
