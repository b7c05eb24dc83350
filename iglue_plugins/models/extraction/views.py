"""Which part of a picture an image processor shows to its model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from iglue_plugins.utils.errors import UserError

SIDE = 64  # of the pictures that a processor's scale of colors is measured with
EDGE = 3  # pixels at each side that are not measured: resizing repeats or cuts off what is beyond a picture's border
MAX_DEVIATION = 3.0  # of a measured color from a line, of 255; rounding makes it half of one at most


@dataclass(frozen=True)
class View:
    """Says what part of a picture became the pixel values of a model.

    Attributes:
        left: Where the pixel values begin, in pixels of the picture; negative if they begin with padding.
        top: As `left`, from the picture's top.
        right: Where they end; more than the picture's width if they end with padding.
        bottom: As `right`.
    """

    left: float
    top: float
    right: float
    bottom: float

    def part(self, height_share: float, width_share: float) -> View:
        """Return the view of the first rows and columns of the pixel values.

        Args:
            height_share: The share of the rows.
            width_share: The share of the columns.
        """
        right = self.left + width_share * (self.right - self.left)
        return View(self.left, self.top, right, self.top + height_share * (self.bottom - self.top))


class ViewFinder:
    """Measures which part of a picture an image processor keeps, by having it process a picture of known colors.

    Processors resize, cut out the centre, pad, and do so by rules of their own; measuring holds for all of them. Where
    a pixel of the output came from is read from two ramps of color, a straight line is laid through these places, and
    the size of the resized picture and the offset of the part that is cut out are rounded to whole pixels, which they
    are.

    Args:
        process: Turns a picture in mode RGB into pixel values, (3, height, width) float32.
    """

    def __init__(self, process: Callable[[Image.Image], np.ndarray]) -> None:
        self._process = process
        black, white = (process(Image.new("RGB", (SIDE, SIDE), (level,) * 3)).reshape(3, -1) for level in (0, 255))
        place = np.abs(white - black).min(0).argmax()  # not in a padded border
        self._black = black[:, place, None, None]
        self._range = white[:, place, None, None] - self._black
        if not self._range.all():
            raise UserError("the image processor returns the same for black and white pictures; choose another model")
        self.view = lru_cache(maxsize=1024)(self._measure)  # photographs have few sizes

    def _measure(self, width: int, height: int) -> View:
        """Measure the view of pictures of a size.

        Args:
            width: The pictures' width in pixels.
            height: Their height.

        Returns:
            The view.

        Raises:
            UserError: The processor does more than resize, cut, pad and scale colors.
        """
        ramps = np.full((height, width, 3), 255, dtype=np.uint8)
        ramps[..., 0] = np.rint(np.linspace(0, 255, width))
        ramps[..., 1] = np.rint(np.linspace(0, 255, height))[:, None]
        levels = (self._process(Image.fromarray(ramps)) - self._black) / self._range * 255
        is_picture = levels[2] > 254  # the rest is padding
        across = _columns_to_places(levels[0], is_picture, width)
        down = _columns_to_places(levels[1].T, is_picture.T, height)
        return View(across[0], down[0], across[1], down[1])


def _columns_to_places(levels: np.ndarray, is_picture: np.ndarray, side: int) -> tuple[float, float]:
    """Read from a ramp where the columns of pixel values lie in a picture.

    Args:
        levels: (rows, columns), 0 at the picture's left side to 255 at its right side.
        is_picture: (rows, columns), whether a pixel is of the picture.
        side: The picture's width in pixels.

    Returns:
        Where the first column begins and the last one ends, in pixels of the picture.
    """
    counts = is_picture.sum(0)
    columns = np.flatnonzero(counts)
    places = np.where(is_picture, levels, 0).sum(0)[columns] / counts[columns] / 255 * (side - 1) + 0.5
    inner = np.flatnonzero((places > EDGE) & (places < side - EDGE))
    inner = inner[(inner >= EDGE) & (inner < len(columns) - EDGE)]
    if len(inner) < 2:
        raise UserError(f"the image processor leaves too little of a picture with a side of {side} pixels")
    centres, places = columns[inner] + 0.5, places[inner]
    scale, start = np.polyfit(centres, places, 1)
    if scale <= 0 or np.abs(scale * centres + start - places).max() > max(MAX_DEVIATION * side / 255, 1):
        raise UserError("the image processor does more than resize, cut and pad a picture; choose another model")
    resized = round(side / scale)
    offset = round(start / scale)
    return offset * side / resized, (offset + levels.shape[1]) * side / resized
