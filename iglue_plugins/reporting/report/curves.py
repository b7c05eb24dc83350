"""Learning curves of the rows of a task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from iglue_plugins.reporting.plots import COLOURS, plain
from iglue_plugins.reporting.report.events import Scalars

LOSS = "train/loss"
VALIDATION = "eval/validation"
INNER_BEFORE, INNER_AFTER = "train/inner_loss_before", "train/inner_loss_after"
MARKERS = ("", "o", "s", "^")  # of rows whose color an earlier one has
COLUMNS = 3
PANEL = 3.4, 2.3  # width and height in inches
LEGEND_INCHES = 0.45
BAND = 0.15  # opacity


@dataclass(frozen=True)
class Panel:
    """A panel of the learning curves.

    Attributes:
        title: The title.
        names: The scalars that it shows, by the style of their lines.
    """

    title: str
    names: dict[str, str]


def curves_figure(rows: Mapping[str, Sequence[Scalars]]) -> Figure | None:
    """Draw the losses, validations and inner losses of rows, a panel for each and a line for each row.

    A line is the mean over the seeds that have logged a step, in a band from the lowest to the highest of them.

    Args:
        rows: What each run of a row has logged, by label. A row has the color of its bars in the chart.

    Returns:
        The figure; None if nothing was logged.
    """
    panels = _panels({name for runs in rows.values() for scalars in runs for name in scalars})
    if not panels:
        return None
    columns = min(COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    size = (max(6.4, PANEL[0] * columns), PANEL[1] * lines + LEGEND_INCHES)
    figure = Figure(figsize=size, layout="constrained")
    every = figure.subplots(lines, columns, squeeze=False)
    for axes, panel in zip(every.flat, panels, strict=False):
        _draw(axes, panel, rows)
    for axes in every.flat[len(panels) :]:
        axes.set_visible(False)
    handles = [
        Line2D([], [], color=_look(index)[0], marker=_look(index)[1], markersize=4, label=plain(label))
        for index, (label, runs) in enumerate(rows.items())
        if any(runs)
    ]
    per_line = max(1, int(size[0] / 2))
    figure.legend(handles=handles, loc="outside lower center", ncols=per_line, frameon=False, fontsize=9)
    return figure


def _panels(names: set[str]) -> list[Panel]:
    """Choose the panels: the loss, its parts by name, the inner loss before and after, and the validation."""
    of_own = {LOSS, INNER_BEFORE, INNER_AFTER}
    parts = sorted(name for name in names - of_own if name.startswith("train/") and "loss" in name)
    panels = [Panel(name.removeprefix("train/").replace("_", " "), {"-": name}) for name in (LOSS, *parts)]
    panels.append(Panel("inner loss, before (dashed) and after", {"--": INNER_BEFORE, "-": INNER_AFTER}))
    panels.append(Panel("validation (%)", {"-": VALIDATION}))
    return [panel for panel in panels if names & set(panel.names.values())]


def _draw(axes: Axes, panel: Panel, rows: Mapping[str, Sequence[Scalars]]) -> None:
    for index, runs in enumerate(rows.values()):
        for style, name in panel.names.items():
            _draw_line(axes, [run[name] for run in runs if name in run], style, index)
    axes.set_title(panel.title, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.set_xlabel("step", fontsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.grid(linewidth=0.4, alpha=0.5)
    axes.spines[["top", "right"]].set_visible(False)


def _look(row: int) -> tuple[str, str]:
    """Return the color and the marker of a row's lines."""
    return COLOURS[row % len(COLOURS)], MARKERS[row // len(COLOURS) % len(MARKERS)]


def _draw_line(axes: Axes, seeds: Sequence[Mapping[int, float]], style: str, row: int) -> None:
    by_step: dict[int, list[float]] = {}
    for values in seeds:
        for step, value in values.items():
            if math.isfinite(value):
                by_step.setdefault(step, []).append(value)
    steps = sorted(by_step)
    if not steps:
        return
    means = [float(np.mean(by_step[step])) for step in steps]
    color, marker = _look(row)
    seen = marker or ("o" if len(steps) == 1 else "")
    axes.plot(steps, means, style, color=color, linewidth=1.4, marker=seen, markersize=3, markevery=0.1)
    if len(seeds) > 1:
        lows, highs = ([edge(by_step[step]) for step in steps] for edge in (min, max))
        axes.fill_between(steps, lows, highs, color=color, alpha=BAND, linewidth=0)
