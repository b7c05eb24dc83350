"""Columns of numbers laid out as tabulars of LaTeX, none of them wider than a column of a page of two."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

PAGE_COLUMN = 219.0  # points; the narrowest of those of ACL, ICML, NeurIPS' and IEEE's templates
GAP = 5.0  # points between columns
LABEL = 84.0  # points that labels of rows take at most, in lines
HEADER = 42.0  # points that labels of columns take at most, in lines

# Points of a character in \footnotesize (8 points) of Computer Modern, rather too many than too few.
WIDTHS = dict.fromkeys("ilj.,:;'|![]()", 2.5) | dict.fromkeys("mwMW@%", 7.3) | dict.fromkeys("ft r", 3.4)
WIDTHS |= dict.fromkeys("0123456789", 4.3) | {"+": 6.7, "±": 4.8, "*": 3.4}
CAPITAL, OTHER = 6.4, 4.8
SMALL = 0.72  # the size of a subscript, relative to that of the text

ESCAPES = str.maketrans(
    {character: f"\\{character}" for character in "&%$#{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "_": r"\_\allowbreak{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "[": "{[}"}
)


@dataclass(frozen=True)
class Column:
    """A column of numbers.

    Attributes:
        header: The header.
        cells: A cell for each label of the section.
        own_group: Whether it may be the first of a block; otherwise it stays beside the column before it.
        is_mean: Whether it is the mean of those before it, from which a rule divides it where columns become rows.
    """

    header: str
    cells: list[str]
    own_group: bool = False
    is_mean: bool = False


@dataclass(frozen=True)
class Section:
    """A part of a table; all parts have columns with the same headers.

    Attributes:
        heading: The heading above it; empty for none.
        labels: The labels of its rows.
        columns: Its columns.
    """

    heading: str
    labels: list[str]
    columns: list[Column]


def escape(text: str) -> str:
    """Escape a text for LaTeX: deviations become subscripts, stars superscripts, and names may break at underscores."""
    escaped = re.sub(r"\*+", r"$^{\g<0>}$", text.translate(ESCAPES))
    escaped = re.sub(r" ?±(\d[\d.]*)", r"$_{\\pm\1}$", escaped).replace("±", r"$\pm$")
    return re.sub(r"(?<!\w)-(?=\d)", "$-$", escaped)


def width_of(text: str) -> float:
    """Estimate the width of a text in a table.

    Args:
        text: The text before it is escaped.

    Returns:
        The width in points.
    """
    plain, sign, deviation = text.partition("±")
    small = SMALL * sum(map(_width_of_character, sign + deviation))
    minus = 4.0 if re.search(r"(?<!\w)-(?=\d)", plain) else 0.0  # more than a hyphen
    return sum(map(_width_of_character, plain.rstrip() if sign else plain)) + minus + small


def _width_of_character(character: str) -> float:
    return WIDTHS.get(character, CAPITAL if character.isupper() else OTHER)


def broken(label: str, limit: float) -> list[str]:
    """Break a label into lines, at spaces, after punctuation, and where that is not enough anywhere.

    Args:
        label: The label.
        limit: The width of a line, in points.

    Returns:
        The lines, at least one.
    """
    lines = [""]
    for part in re.findall(r"[^\s_,=./+-]*[_,=./+-]?\s*", label):
        if lines[-1] and width_of((lines[-1] + part).rstrip()) > limit:
            lines.append("")
        for character in part:
            if lines[-1] and width_of(lines[-1] + character) > limit and not character.isspace():
                lines.append("")
            lines[-1] += character
    return [line.strip() for line in lines]


def blocks_in_columns(sections: Sequence[Section]) -> list[str]:
    """Lay out sections with a row for each label, below each other.

    Args:
        sections: The sections.

    Returns:
        Tabulars, each with some of the columns.
    """
    labels = [[broken(label, LABEL) for label in section.labels] for section in sections]
    first = max(width_of(line) for of_section in labels for lines in of_section for line in lines)
    headers = [broken(column.header, HEADER) for column in sections[0].columns]
    widths = [
        max(width_of(text) for text in (*header, *(cell for section in sections for cell in section.columns[i].cells)))
        for i, header in enumerate(headers)
    ]
    groups: list[list[int]] = []
    for i, column in enumerate(sections[0].columns):
        groups = [*groups, [i]] if column.own_group else [*groups[:-1], [*groups[-1], i]]
    tabulars = []
    for chosen in _fitting(groups, widths, first):
        lines = [*_header_lines([headers[i] for i in chosen]), r"\midrule"]
        for number, (section, of_section) in enumerate(zip(sections, labels, strict=True)):
            if section.heading:
                lines += [*([r"\midrule"] if number else []), _heading_line(section.heading, len(chosen) + 1)]
            for row, label in enumerate(of_section):
                cells = [section.columns[i].cells[row] for i in chosen]
                lines += [_line([label[0], *cells]), *(_line([line, *[""] * len(cells)]) for line in label[1:])]
        tabulars.append(_tabular(lines, len(chosen)))
    return tabulars


def blocks_in_rows(sections: Sequence[Section]) -> list[str]:
    """Lay out sections with a column for each label, beside each other as far as there is room.

    Args:
        sections: The sections.

    Returns:
        Tabulars, each with some of the labels of one section.
    """
    tabulars = []
    for section in sections:
        shown = [column for column in section.columns if any(column.cells)]
        first = max(width_of(column.header) for column in shown)
        headers = [broken(label, HEADER) for label in section.labels]
        widths = [
            max(width_of(text) for text in (*header, *(column.cells[i] for column in shown)))
            for i, header in enumerate(headers)
        ]
        for chosen in _fitting([[i] for i in range(len(headers))], widths, first):
            lines = [_heading_line(section.heading, len(chosen) + 1)] if section.heading else []
            lines += [*_header_lines([headers[i] for i in chosen]), r"\midrule"]
            for column in shown:
                lines += [r"\midrule"] if column.is_mean else []
                lines.append(_line([column.header, *(column.cells[i] for i in chosen)]))
            tabulars.append(_tabular(lines, len(chosen)))
    return tabulars


def _fitting(groups: Sequence[list[int]], widths: Sequence[float], first: float) -> list[list[int]]:
    """Divide groups of columns into blocks that fit the width of a page's column, beside the labels."""
    blocks: list[list[int]] = [[]]
    for group in groups:
        if blocks[-1] and first + sum(GAP + widths[i] for i in (*blocks[-1], *group)) > PAGE_COLUMN:
            blocks.append([])
        blocks[-1] += group
    return blocks


def _header_lines(headers: Sequence[Sequence[str]]) -> list[str]:
    """Write headers of several lines, which end on the same line."""
    height = max(map(len, headers))
    padded = [[*[""] * (height - len(header)), *header] for header in headers]
    return [_line(["", *(header[i] for header in padded)]) for i in range(height)]


def _heading_line(heading: str, columns: int) -> str:
    return rf"\multicolumn{{{columns}}}{{@{{}}l@{{}}}}{{\emph{{{escape(heading)}}}}} \\"


def _line(cells: Sequence[str]) -> str:
    return " & ".join(escape(cell) for cell in cells) + r" \\"


def _tabular(lines: Sequence[str], columns: int) -> str:
    return "\n".join(
        [rf"\begin{{tabular}}{{@{{}}l{'r' * columns}@{{}}}}", r"\toprule", *lines, r"\bottomrule", r"\end{tabular}"]
    )
