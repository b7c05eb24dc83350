"""The heat map of a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from iglue_plugins.reporting import chart_files
from iglue_plugins.reporting.interval_wording import SIGNIFICANT, SIGNIFICANT_CORRECTED, significance_mark
from iglue_plugins.reporting.matrix import Matrix, MatrixRow
from iglue_plugins.reporting.plots import NOTE_SIZE, plain, wrapped
from iglue_plugins.reporting.results import join_names
from iglue_plugins.reporting.wording import title

DIFFERENCES, SCORES = "RdBu", "viridis"  # color-blind readers can tell the colors of both scales apart
GAP = 0.35  # cells between the source language, the target languages and the means
INSET = 0.06  # cells between a frame and the edges of its cell
MEAN_WIDTH = 1.3  # cells; wider, since means may have a star
INCHES = 0.5, 0.34  # width and height of a cell
MARGINS = 2.2, 2.1  # inches for labels, title and color bar
LABEL_INCHES = 0.075  # width of a letter of a label
TITLE_INCHES = 0.8  # of the height, which the labels beside the cells leave free


@dataclass(frozen=True)
class HeatMapColumn:
    """A column of the heat map.

    Attributes:
        name: The header.
        left: The left edge, in cells.
        width: The width, in cells.
        language: The language; None for a mean.
        of_common: Whether the mean is over the common languages, rather than those that each row was not trained on.
    """

    name: str
    left: float
    width: float
    language: str | None = None
    of_common: bool = False


def heat_map(matrix: Matrix, path: Path) -> None:
    """Draw a matrix to a PNG file; see `heat_figure`.

    Args:
        matrix: The matrix.
        path: The file to write.

    Raises:
        UserError: The file cannot be written.
    """
    chart_files.save(heat_figure(matrix), matrix, Path(path))


def heat_figure(matrix: Matrix) -> Figure:
    """Draw a matrix, with a row for each setting and a column for each language and mean.

    With a baseline, cells are differences to it in points, and the first row has the baseline's scores. Without one,
    cells are scores. Cells of languages that a row was trained on are framed, and left out of its mean.

    Args:
        matrix: The matrix.
    """
    columns = _columns(matrix)
    right, rows = columns[-1].left + columns[-1].width, len(matrix.all_rows)
    labels = LABEL_INCHES * max(len(row.label) for row in matrix.all_rows)
    size = labels + MARGINS[0] + INCHES[0] * right, MARGINS[1] + INCHES[1] * rows
    figure = Figure(figsize=(max(6.4, size[0]), size[1]), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    colours = _colours(matrix, columns)
    for index, row in enumerate(matrix.all_rows):
        for column in columns:
            _draw_cell(axes, matrix, row, column, index, colours)
    _label(axes, matrix, columns)
    beside = figure.get_figheight() - TITLE_INCHES
    if len(matrix.keys) == 1:  # with several keys, the labels of rows name them
        axes.set_ylabel(wrapped(plain(matrix.keys[0]), beside), fontsize=NOTE_SIZE)
    figure.suptitle(plain(title(matrix)), fontsize=11)
    figure.supxlabel(wrapped(plain(_note(matrix)), figure.get_figwidth()), fontsize=NOTE_SIZE)
    scale = figure.colorbar(colours, ax=axes, fraction=0.03, pad=0.02)
    scale.set_label(wrapped(plain(_measure(matrix)), beside), fontsize=NOTE_SIZE)
    return figure


def _columns(matrix: Matrix) -> list[HeatMapColumn]:
    columns, left = [], 0.0
    for language in matrix.languages:
        columns.append(HeatMapColumn(language, left, 1.0, language))
        left += 1.0 + (GAP if language in matrix.evaluated_sources[-1:] else 0)
    left += GAP
    columns.append(HeatMapColumn("mean", left, MEAN_WIDTH))
    if matrix.common and matrix.means_differ:
        columns.append(HeatMapColumn("common", left + MEAN_WIDTH, MEAN_WIDTH, of_common=True))
    return columns


def _score(row: MatrixRow, column: HeatMapColumn) -> float:
    if column.language is not None:
        return row.languages[column.language].mean
    mean = row.common_mean if column.of_common else row.unseen_mean
    assert mean is not None  # a matrix with a column of common means has them in every row
    return mean.mean


def cell_value(matrix: Matrix, row: MatrixRow, column: HeatMapColumn) -> float:
    """Return the number in a cell.

    Args:
        matrix: The matrix.
        row: The row.
        column: The column.

    Returns:
        The difference to the baseline in points, over the languages that the row's score is over; for the baseline,
        and in a matrix without one, the score.
    """
    if matrix.baseline is None or row is matrix.baseline:
        return _score(row, column)
    if column.language is None and not column.of_common:
        assert row.difference is not None  # a matrix with a baseline has it in every other row
        return row.difference.difference
    return _score(row, column) - _score(matrix.baseline, column)


def _colours(matrix: Matrix, columns: Sequence[HeatMapColumn]) -> ScalarMappable:
    """Make the color scale, in which white is no difference; without a baseline it spans the scores."""
    values = [cell_value(matrix, row, column) for row in matrix.rows for column in columns]
    if matrix.baseline is None:
        return ScalarMappable(Normalize(min(values), max(values)), colormaps[SCORES])
    largest = max(0.1, *map(abs, values))
    return ScalarMappable(Normalize(-largest, largest), colormaps[DIFFERENCES])


def _draw_cell(
    axes: Axes, matrix: Matrix, row: MatrixRow, column: HeatMapColumn, index: int, colours: ScalarMappable
) -> None:
    value, is_baseline = cell_value(matrix, row, column), row is matrix.baseline
    colour: Sequence[float] = (1.0, 1.0, 1.0, 1.0) if is_baseline else colours.to_rgba(np.array([value]))[0]
    ink = ink_on(colour)
    axes.add_patch(Rectangle((column.left, index), column.width, 1, facecolor=colour, edgecolor="white", linewidth=0.8))
    if column.language in row.trained_on:
        axes.add_patch(
            Rectangle(
                (column.left + INSET, index + INSET),
                column.width - 2 * INSET,
                1 - 2 * INSET,
                fill=False,
                edgecolor=ink,
                linewidth=1.6,
            )
        )
    text = f"{value:.1f}" if is_baseline or matrix.baseline is None else f"{value:+z.1f}"
    if column.name == "mean" and column.language is None:
        text += significance_mark(row.difference)
    axes.text(
        column.left + column.width / 2,
        index + 0.5,
        text,
        ha="center",
        va="center",
        fontsize=8,
        color=ink,
        fontstyle="italic" if is_baseline else "normal",
        fontweight="bold" if column.language is None else "normal",
    )


def ink_on(colour: Sequence[float]) -> str:
    """Choose the color of a text by the luminance of its background.

    Args:
        colour: Red, green, blue and alpha, in [0, 1].

    Returns:
        "black" or "white".
    """
    red, green, blue, _ = colour
    return "white" if 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.45 else "black"


def _label(axes: Axes, matrix: Matrix, columns: Sequence[HeatMapColumn]) -> None:
    rows = matrix.all_rows
    axes.set_xlim(0, columns[-1].left + columns[-1].width)
    axes.set_ylim(len(rows), 0)
    axes.set_xticks([column.left + column.width / 2 for column in columns], [column.name for column in columns])
    axes.set_yticks([index + 0.5 for index in range(len(rows))], [plain(row.label) for row in rows])
    for text, row in zip(axes.get_yticklabels(), rows, strict=True):
        text.set_fontstyle("italic" if row is matrix.baseline else "normal")
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=9)
    axes.spines[:].set_visible(False)


def _measure(matrix: Matrix) -> str:
    return f"{matrix.metric} (%)" if matrix.baseline is None else f"difference to {matrix.baseline.label} (points)"


def _note(matrix: Matrix) -> str:
    """Explain frames, the source language, the baseline and stars, where there are any."""
    meanings = []
    if any(row.trained_on for row in matrix.all_rows):
        meanings.append("framed: trained on, and not in the row's mean")
    if matrix.evaluated_sources:
        meanings.append(f"{join_names(matrix.evaluated_sources)}: source, in no mean")
    if matrix.baseline is not None:
        meanings.append(f"{matrix.baseline.label}: its scores (%)")
        corrected = f", {SIGNIFICANT_CORRECTED} corrected for all rows too" if len(matrix.rows) > 1 else ""
        meanings.append(f"{SIGNIFICANT} 95 % interval excludes 0{corrected}")
    return "; ".join(meanings)
