"""Pictures as the detector reads them: resized, as blue, green and red, with their means subtracted."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from iglue_plugins.models.detector.configuration import STRIDE
from iglue_plugins.models.detector.presets import ImageSize, caffe_scale
from iglue_plugins.models.extraction.base import UnusablePictureError

PIXEL_MEANS = (102.9801, 115.9465, 122.7717)  # of blue, green and red, from 0 to 255
TOO_SMALL = f"a side of fewer than {STRIDE} pixels, as it is or resized"


def resized_size(size: tuple[int, int], limits: ImageSize) -> tuple[int, int]:
    """Return the size that a picture is resized to.

    Args:
        size: Height and width of the picture in pixels.
        limits: How large it becomes.

    Returns:
        Height and width in pixels; 0 for a side that is far shorter than the other.
    """
    if limits.resizing == "opencv":
        scale = caffe_scale(size, limits)
        return round(size[0] * scale), round(size[1] * scale)
    scale = limits.short_side / min(size)
    sides = [float(limits.short_side) if side == min(size) else scale * side for side in size]
    if max(sides) > limits.long_side:
        scale = limits.long_side / max(sides)
        sides = [side * scale for side in sides]
    return int(sides[0] + 0.5), int(sides[1] + 0.5)


def read_pixels(picture: Image.Image, limits: ImageSize) -> Tensor:
    """Resize a picture and subtract the means.

    Args:
        picture: The picture in mode RGB.
        limits: How large it becomes, and what resizes it.

    Returns:
        (3, height, width) float32: blue, green and red from 0 to 255, less their means.

    Raises:
        UnusablePictureError: The network sees nothing in a picture of this size.
    """
    original = picture.height, picture.width
    height, width = resized_size(original, limits)
    if min(*original, height, width) < STRIDE:
        raise UnusablePictureError(TOO_SMALL)
    means = torch.tensor(PIXEL_MEANS)[:, None, None]
    if limits.resizing == "pillow":
        return _colors(picture.resize((width, height), Image.Resampling.BILINEAR)) - means
    if limits.resizing == "interpolate":
        size = (height, width)
        return functional.interpolate(_colors(picture)[None], size, mode="bilinear", align_corners=False)[0] - means
    # OpenCV samples at multiples of the scale itself, not of the quotient of the sides, which is rounded; in double
    # precision its float32 coefficients are met, those of PyTorch in float32 are too coarse.
    centred, scale = (_colors(picture) - means).double()[None], caffe_scale(original, limits)
    resized: Tensor = torch.ops.aten.upsample_bilinear2d(centred, [height, width], False, scale, scale)
    return resized[0].float()


def _colors(picture: Image.Image) -> Tensor:
    """Return the colors of a picture, (3, height, width) float32: blue, green and red from 0 to 255."""
    return torch.from_numpy(np.array(picture)[:, :, ::-1].copy()).permute(2, 0, 1).float()
