"""The heat map of a sweep from several source languages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from iglue_plugins.reporting import chart_files
from iglue_plugins.reporting.heat_map import DIFFERENCES, INCHES, LABEL_INCHES, MARGINS, SCORES, ink_on
from iglue_plugins.reporting.interval_wording import SIGNIFICANT, SIGNIFICANT_CORRECTED
from iglue_plugins.reporting.plots import NOTE_SIZE, plain, wrapped
from iglue_plugins.reporting.source_comparison import SourceComparison, SourceRow
from iglue_plugins.reporting.source_exports import cell_text, source_title

CELL_WIDTH = 1.25 * INCHES[0]  # inches; cells have stars


def source_heat_map(comparison: SourceComparison, path: Path) -> None:
    """Draw a comparison of sources to a PNG file; see `source_figure`.

    Args:
        comparison: The comparison of the sources.
        path: The file to write.

    Raises:
        UserError: The file cannot be written.
    """
    chart_files.save(source_figure(comparison), comparison, Path(path))


def source_figure(comparison: SourceComparison) -> Figure:
    """Draw a comparison of sources, with a row for each source and a column for each setting.

    Cells are differences to the baseline of the source in points, or without baselines means. A cell is empty where the
    source has no such row.

    Args:
        comparison: The comparison of the sources.
    """
    values = np.array([[_value(comparison, row, label) for label in comparison.labels] for row in comparison.rows])
    names = [plain(row.source) for row in comparison.rows]
    width = MARGINS[0] + LABEL_INCHES * max(map(len, names)) + CELL_WIDTH * len(comparison.labels)
    figure = Figure(figsize=(max(6.4, width), MARGINS[1] + INCHES[1] * len(names)), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    largest = max(0.1, float(np.nanmax(np.abs(values))))
    limits = (-largest, largest) if comparison.has_differences else (np.nanmin(values), np.nanmax(values))
    colours = colormaps[DIFFERENCES if comparison.has_differences else SCORES]
    drawn = axes.imshow(values, cmap=colours, vmin=limits[0], vmax=limits[1], aspect="auto")
    for y, row in enumerate(comparison.rows):
        for x, label in enumerate(comparison.labels):
            text = cell_text(row, label, comparison.has_differences)
            axes.text(
                x, y, text, ha="center", va="center", fontsize=8, color=ink_on(tuple(drawn.to_rgba(values[y, x])))
            )
    axes.set_xticks(range(len(comparison.labels)), [plain(label) for label in comparison.labels])
    axes.set_yticks(range(len(names)), names)
    axes.set_ylabel("source", fontsize=NOTE_SIZE)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=9)
    axes.spines[:].set_visible(False)
    figure.suptitle(wrapped(plain(source_title(comparison)), figure.get_figwidth()), fontsize=11)
    figure.supxlabel(wrapped(plain(_note(comparison)), figure.get_figwidth()), fontsize=NOTE_SIZE)
    figure.colorbar(drawn, ax=axes, fraction=0.03, pad=0.02)
    return figure


def _note(comparison: SourceComparison) -> str:
    note = "over the target languages that a row was not trained on"
    if not comparison.has_differences:
        return note
    return f"{note}; {SIGNIFICANT} 95 % interval excludes 0, {SIGNIFICANT_CORRECTED} corrected for a source's rows too"


def _value(comparison: SourceComparison, row: SourceRow, label: str) -> float:
    """Return the number of a cell; NaN where the source has no such row."""
    if label not in row.means:
        return float("nan")
    return row.differences[label].difference if comparison.has_differences else row.means[label].mean
