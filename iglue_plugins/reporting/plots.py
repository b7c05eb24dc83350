"""The bar chart of a comparison."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from iglue_plugins.reporting import chart_files
from iglue_plugins.reporting.comparison import Comparison, LMMSEvalRow, PublishedRow, Row
from iglue_plugins.reporting.interval_wording import SIGNIFICANT, SIGNIFICANT_CORRECTED, significance_mark
from iglue_plugins.reporting.wording import mean_text, role, title

# Okabe and Ito's palette, whose colors color-blind readers can tell apart; after seven rows bars are hatched too.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
HATCHES = ("", "///", "...", "xxx")
CLUSTER_WIDTH = 0.84
GROUP_GAP = 0.6
MEAN_WIDTH = 2.0  # wider, since the bars of means have their number above them
INCHES_PER_BAR = 0.14
INCHES_PER_CLUSTER = 0.4
NOTE_SIZE = 8  # points
NOTE_LETTERS_PER_INCH = 13  # with some room at both sides
MARKERS = ("D", "o", "s", "^")  # of external rows; if there are more rows than markers, none is drawn
WIDEST = 16.0  # inches
MARKER_GAP = CLUSTER_WIDTH / len(MARKERS)


@dataclass(frozen=True)
class Layout:
    """The positions of the clusters of bars.

    Attributes:
        groups: Headings, with the names of the clusters below them.
        centres: The center of each cluster.
        widths: The width of each cluster.
        floor: The number at which the vertical axis starts.
    """

    groups: tuple[tuple[str, tuple[str, ...]], ...]
    centres: tuple[float, ...]
    widths: tuple[float, ...]
    floor: int

    @property
    def names(self) -> list[str]:
        """The names of the clusters: languages, and the mean."""
        return [name for _, names in self.groups for name in names]


def bar_chart(comparison: Comparison, path: Path) -> None:
    """Draw a comparison to a PNG file; see `bar_figure`.

    Args:
        comparison: The comparison.
        path: The file to write.

    Raises:
        UserError: The file cannot be written.
    """
    chart_files.save(bar_figure(comparison), comparison, Path(path))


def bar_figure(comparison: Comparison, widest: float = WIDEST) -> Figure:
    """Draw a comparison, with a bar for each row and language, and for each row's target mean.

    Languages are grouped by role. Error bars are the standard deviation over seeds. The axis starts at a multiple of
    ten below all bars, which its label says. A star on a target mean marks a significant difference to the first row,
    two stars one that is significant if corrected for several rows too. A few external rows are drawn as a marker at
    each cluster; more of them would hide the bars, and are left out.

    Args:
        comparison: The comparison.
        widest: The largest width of the figure, in inches.
    """
    layout = _layout(comparison)
    per_cluster = max(INCHES_PER_CLUSTER, INCHES_PER_BAR * len(comparison.rows))
    width = min(widest, max(6.4, 2 + per_cluster * sum(layout.widths)))
    figure = Figure(figsize=(width, 4.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for index, row in enumerate(comparison.rows):
        _draw_row(axes, comparison, row, index, layout)
    for index in range(len(drawn_external_rows(comparison))):
        _draw_external_row(axes, comparison, index, layout)
    _label(axes, comparison, layout, width)
    figure.suptitle(title(comparison), fontsize=11)
    handles, _ = axes.get_legend_handles_labels()  # markers come before bars
    handles = sorted(handles, key=lambda handle: not isinstance(handle, BarContainer))
    columns = int(width / (3 if drawn_external_rows(comparison) else 2))
    figure.legend(handles=handles, loc="outside lower center", ncols=max(1, columns), frameon=False, fontsize=9)
    return figure


def _layout(comparison: Comparison) -> Layout:
    by_role: dict[str, tuple[str, ...]] = {"source": (), "auxiliary": (), "target": ()}
    for language in comparison.languages:
        by_role[role(comparison, language)] += (language,)
    by_role["target languages"] = by_role.pop("target")
    groups = (*((heading, names) for heading, names in by_role.items() if names), ("targets", ("mean",)))
    widths = (*(1.0 for _ in comparison.languages), MEAN_WIDTH)
    gaps = [0.0 if index else GROUP_GAP for _, names in groups for index in range(len(names))]
    ends = accumulate(width + gap for width, gap in zip(widths, gaps, strict=True))
    centres = tuple(end - width / 2 for end, width in zip(ends, widths, strict=True))
    return Layout(groups, centres, widths, _floor(comparison))


def drawn_external_rows(comparison: Comparison) -> list[tuple[PublishedRow | LMMSEvalRow, str]]:
    """List the external rows that the chart draws.

    Args:
        comparison: The comparison.

    Returns:
        Each row with its kind in the legend; none if there are more rows than markers.
    """
    by_kind: dict[str, tuple[PublishedRow | LMMSEvalRow, ...]] = {
        "published": comparison.published,
        "lmms-eval": comparison.lmms_eval,
    }
    rows = [(row, kind) for kind, of_kind in by_kind.items() for row in of_kind]
    return rows if len(rows) <= len(MARKERS) else []


def _floor(comparison: Comparison) -> int:
    """Return the multiple of ten below the lowest error bar and marker, but not below 0."""
    scores = [score for row in comparison.rows for score in (*row.languages.values(), row.target_mean)]
    figures = [figure for row, _ in drawn_external_rows(comparison) for figure in row.languages.values()]
    lowest = min([*(score.mean - (score.std or 0) for score in scores), *figures])
    return max(0, 10 * math.floor((lowest - 1) / 10))


def _draw_row(axes: Axes, comparison: Comparison, row: Row, index: int, layout: Layout) -> None:
    scores = [*(row.languages[language] for language in comparison.languages), row.target_mean]
    widths = [CLUSTER_WIDTH * width / len(comparison.rows) for width in layout.widths]
    offset = index - (len(comparison.rows) - 1) / 2
    bars = axes.bar(
        [centre + offset * width for centre, width in zip(layout.centres, widths, strict=True)],
        [score.mean - layout.floor for score in scores],
        widths,
        bottom=layout.floor,
        yerr=[score.std for score in scores] if len(comparison.seeds) > 1 else None,
        error_kw={"elinewidth": 0.8, "capsize": 1.5, "capthick": 0.8},
        color=COLOURS[index % len(COLOURS)],
        hatch=HATCHES[index // len(COLOURS) % len(HATCHES)],
        edgecolor="white",
        linewidth=0.4,
        label=plain(row.label),
    )
    _write_mean(axes, row, bars)


def _draw_external_row(axes: Axes, comparison: Comparison, index: int, layout: Layout) -> None:
    """Draw the markers of an external row, beside those of others, so that equal figures do not hide each other."""
    others = drawn_external_rows(comparison)
    (row, kind), offset = others[index], index - (len(others) - 1) / 2
    figures = [*(row.languages.get(language) for language in comparison.languages), row.target_mean]
    axes.plot(
        [centre + offset * MARKER_GAP for centre in layout.centres],
        [math.nan if figure is None else figure for figure in figures],
        linestyle="none",
        marker=MARKERS[index],
        markersize=4,
        color="0.15",
        markeredgecolor="white",
        markeredgewidth=0.6,
        label=plain(f"{row.label} ({kind})"),
        zorder=3,
    )


def _write_mean(axes: Axes, row: Row, bars: BarContainer) -> None:
    bar = bars.patches[-1]
    axes.annotate(
        f"{mean_text(row.target_mean)}{significance_mark(row.difference)}",
        (bar.get_x() + bar.get_width() / 2, row.target_mean.mean + (row.target_mean.std or 0)),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        rotation=90,
        fontsize=8,
    )


def _label(axes: Axes, comparison: Comparison, layout: Layout, inches: float) -> None:
    axes.set_xticks(layout.centres, layout.names)
    place = dict(zip(layout.names, zip(layout.centres, layout.widths, strict=True), strict=True))
    below_ticks = axes.get_xaxis_transform()
    for heading, names in layout.groups:
        (first, width), (last, _) = place[names[0]], place[names[-1]]
        ends = first - CLUSTER_WIDTH * width / 2, last + CLUSTER_WIDTH * width / 2
        axes.plot(ends, (-0.085, -0.085), transform=below_ticks, color="0.5", linewidth=0.8, clip_on=False)
        axes.text(sum(ends) / 2, -0.1, heading, transform=below_ticks, ha="center", va="top", fontsize=8)
    axes.set_ylabel(f"{comparison.metric} (%), axis from {layout.floor}", fontsize=9)
    axes.set_title(wrapped(_legend_note(comparison), inches), fontsize=NOTE_SIZE)
    axes.margins(x=0.01, y=0.14)
    axes.set_ylim(bottom=layout.floor)
    axes.grid(axis="y", linewidth=0.4, alpha=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(axis="x", length=0)
    axes.spines[["top", "right"]].set_visible(False)


def _legend_note(comparison: Comparison) -> str:
    """Explain error bars and stars, where there are any."""
    meanings = []
    if len(comparison.seeds) > 1:
        meanings.append(f"error bars: ± standard deviation over {len(comparison.seeds)} seeds")
    if len(comparison.rows) > 1:
        meanings.append(f"{SIGNIFICANT} differs from {plain(comparison.rows[0].label)} (95 % interval excludes 0)")
    if len(comparison.rows) > 2:
        meanings.append(f"{SIGNIFICANT_CORRECTED} corrected for all rows too")
    return "; ".join(meanings)


def wrapped(text: str, inches: float) -> str:
    """Break a note into lines that fit a figure.

    Args:
        text: The note, which is written in the size `NOTE_SIZE`.
        inches: The width of the figure.
    """
    unbroken = text.replace(" %", "\N{NO-BREAK SPACE}%").replace("* ", "*\N{NO-BREAK SPACE}")
    return textwrap.fill(unbroken, int(NOTE_LETTERS_PER_INCH * inches))


def plain(text: str) -> str:
    """Escape dollar signs, which would start a formula in matplotlib's texts."""
    return text.replace("$", r"\$")
