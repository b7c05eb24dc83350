"""Drawings of a photograph with boxes and what is in them."""

from __future__ import annotations

import colorsys
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from iglue_plugins.utils.files import write_atomic

LONGER_SIDE = 1400  # pixels to which a smaller picture is enlarged, so that there is room for words
MAX_SCALE = 6
FONT_SIZE = 15
PADDING = 3  # pixels around a label's words
LINE = 2  # pixels
GOLDEN = 0.618034  # of a turn between neighbouring hues, so that any few of them differ


class _Rectangle(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: _Rectangle) -> float:
        """Return the area that two rectangles share."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(width, 0) * max(height, 0)


def draw_regions(picture: Image.Image, boxes: np.ndarray, labels: Sequence[str]) -> Image.Image:
    """Draw a picture with boxes and their labels; labels do not cover each other where there is room.

    Args:
        picture: The picture in mode RGB; a small one is enlarged.
        boxes: (n, 4), x1 y1 x2 y2 in pixels of the picture, the most important ones first.
        labels: A label for each box.

    Returns:
        The drawing.
    """
    scale = min(MAX_SCALE, max(1.0, LONGER_SIDE / max(picture.size)))
    size = round(picture.width * scale), round(picture.height * scale)
    drawing = picture.resize(size, Image.Resampling.LANCZOS) if scale > 1 else picture.copy()
    pen, font = ImageDraw.Draw(drawing), ImageFont.load_default(FONT_SIZE)
    rectangles = [_Rectangle(*(box * scale)) for box in boxes.astype(float)]
    colors = [_color(number) for number in range(len(labels))]
    for rectangle, color in reversed([*zip(rectangles, colors, strict=True)]):
        pen.rectangle(rectangle, outline=color, width=LINE)
    placed: list[_Rectangle] = []
    for rectangle, label, color in zip(rectangles, labels, colors, strict=True):
        left, top, right, bottom = pen.textbbox((0, 0), label, font)
        place = _place(rectangle, (right - left + 2 * PADDING, bottom - top + 2 * PADDING), size, placed)
        placed.append(place)
        pen.rectangle(place, fill=color)
        pen.text((place.left + PADDING - left, place.top + PADDING - top), label, _ink(color), font)
    return drawing


def save_png(drawing: Image.Image, path: Path) -> None:
    """Write a drawing as a PNG.

    Args:
        drawing: The drawing.
        path: The file.

    Raises:
        UserError: The file cannot be written.
    """
    buffer = io.BytesIO()
    drawing.save(buffer, "PNG")
    write_atomic(path, buffer.getvalue())


def _color(number: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hls_to_rgb(number * GOLDEN % 1, 0.55 + 0.12 * (number % 3 - 1), 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def _ink(color: tuple[int, int, int]) -> str:
    """Choose black or white words, whichever differs more from a color."""
    red, green, blue = color
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "white"


def _place(
    box: _Rectangle, label: tuple[float, float], size: tuple[int, int], placed: Sequence[_Rectangle]
) -> _Rectangle:
    """Find a place for a box's label that covers no other label, or the one that covers the least of them."""
    candidates = [_within(left, top, label, size) for left, top in _corners(box, *label)]
    return min(candidates, key=lambda place: sum(place.overlap(other) for other in placed))


def _corners(box: _Rectangle, width: float, height: float) -> Iterator[tuple[float, float]]:
    """Yield where a label may begin: at the box's corners and then along its sides, outside and inside."""
    rows = (box.top - height, box.top, box.bottom, box.bottom - height)
    for left in (box.left, box.right - width):
        yield from ((left, top) for top in rows)
    steps = np.linspace(0, 1, 9)
    for share in steps:
        yield from ((box.left + share * (box.right - width - box.left), top) for top in rows)
    for share in steps:
        top = box.top + share * (box.bottom - height - box.top)
        yield from ((left, top) for left in (box.left, box.right - width, box.left - width, box.right))


def _within(left: float, top: float, label: tuple[float, float], size: tuple[int, int]) -> _Rectangle:
    """Return the rectangle of a label, moved into the picture."""
    left = min(max(left, 0), max(size[0] - label[0], 0))
    top = min(max(top, 0), max(size[1] - label[1], 0))
    return _Rectangle(left, top, left + label[0], top + label[1])
