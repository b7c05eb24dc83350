"""Charts as SVG inside a page, whose text has the page's color and font."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

INK = "#010203"  # stands for the color of the page's text until the SVG is written
DARK = "#262626"  # matplotlib's "0.15", in which charts draw markers
READABLE = 78  # pixels for an inch, below which a page does not shrink a chart
SETTINGS: Any = {  # matplotlib types each key
    "svg.fonttype": "none",
    "svg.hashsalt": "iglue_plugins",
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
IDS = re.compile(r'(\bid="|url\(#|href="#)')
FONT = re.compile(r"(font: )((?:(?!px)[^;\"])*?[\d.]+px)[^;\"]*")


def chart(draw: Callable[[], Figure | None], name: str) -> Markup | None:
    """Draw a figure as an SVG element.

    Args:
        draw: Makes the figure; None for no figure.
        name: The name of the chart in the page, of letters, digits and hyphens, with which all ids in it begin.

    Returns:
        The element, as wide as there is room; None without a figure. matplotlib escapes the texts in it.
    """
    with matplotlib.rc_context(SETTINGS):
        figure = draw()
        if figure is None:
            return None
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    svg = text[text.index("<svg") :]
    svg = IDS.sub(rf"\g<1>{name}-", svg)
    svg = FONT.sub(r"\g<1>\g<2> sans-serif", svg)
    svg = svg.replace("<svg ", f'<svg style="min-width: {READABLE * figure.get_figwidth():.0f}px" ', 1)
    return Markup(svg.replace(INK, "currentColor").replace(DARK, "currentColor"))
