"""Which sizes of pictures models see something in."""

from __future__ import annotations

from iglue_plugins.models.extraction.base import UnusablePictureError

MIN_SIDE = 16  # pixels
MAX_RATIO = 32  # of the sides; an image processor makes the shorter side hundreds of pixels, and then cuts
WRONG_SIZE = f"a side of fewer than {MIN_SIDE} pixels, or of more than {MAX_RATIO} times the other"


def check_size(size: tuple[int, int]) -> None:
    """Refuse a picture that is too small or too oblong.

    Args:
        size: Its width and height in pixels.

    Raises:
        UnusablePictureError: It is.
    """
    if min(size) < MIN_SIDE or max(size) > MAX_RATIO * min(size):
        raise UnusablePictureError(WRONG_SIZE)
