"""Pixel values of pictures by an image processor of transformers, which is quicker where its steps are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers.image_processing_backends import PilBackend, TorchvisionBackend

from iglue_plugins.utils.errors import UserError, first_line

STEPS = ("preprocess", "_preprocess", "resize", "center_crop", "rescale", "normalize")  # methods of a processor
REDUCTION = 2  # the reducing gap of Pillow's thumbnails, at which a reduced picture is hardly told from a whole one
CHANNELS, LEVELS = 3, 256


def process_pictures(image_processor: Any, pictures: list[Image.Image], names: Sequence[str]) -> dict[str, Tensor]:
    """Make pixel values of pictures.

    A processor on Pillow scales and normalizes colors in float64, number by number, which takes longer than to decode a
    small picture. Where it has the usual steps, its values of all 256 levels are looked up instead, which are the same.

    Args:
        image_processor: A `transformers.BaseImageProcessor`.
        pictures: D pictures in mode RGB.
        names: What they are called in errors.

    Returns:
        What the image processor makes, tensors of D rows by the model's arguments.

    Raises:
        UserError: The image processor refuses a picture, such as one of a single row of pixels.
    """
    try:
        if _has_steps_of(image_processor, PilBackend) and not image_processor.do_pad:  # it would pad with 0 at last
            return {"pixel_values": _looked_up_values(image_processor, pictures)}
        made = image_processor(images=pictures, return_tensors="pt")
    except (ValueError, TypeError, ZeroDivisionError, RuntimeError) as error:
        raise UserError(
            f"the image processor {type(image_processor).__name__} cannot read a picture among {', '.join(names[:3])}"
            f"{', ...' * (len(names) > 3)} ({first_line(error)}); check the pictures"
        ) from error
    return {key: value for key, value in made.items() if isinstance(value, Tensor)}


def needed_side(image_processor: Any) -> int | None:
    """Tell how many pixels of a picture's shorter side an image processor needs.

    Args:
        image_processor: A `transformers.BaseImageProcessor`.

    Returns:
        Twice the number of pixels that the processor resizes the shorter side to, so that its own resizing still
        averages over pixels; None where it does not resize, or may do so in a way of its own.
    """
    if not any(_has_steps_of(image_processor, backend) for backend in (PilBackend, TorchvisionBackend)):
        return None
    size = image_processor.size
    if not image_processor.do_resize or size is None:
        return None
    side = size.shortest_edge or max(size.height or 0, size.width or 0)
    return REDUCTION * side if side else None


def _has_steps_of(image_processor: Any, backend: type) -> bool:
    """Tell whether a processor is one of a backend's that resizes, cuts and scales colors as all of them do."""
    return isinstance(image_processor, backend) and all(
        getattr(type(image_processor), name) is getattr(backend, name) for name in STEPS if hasattr(backend, name)
    )


def _looked_up_values(image_processor: Any, pictures: list[Image.Image]) -> Tensor:
    """Let a processor resize and cut pictures, and look up its values of their levels."""
    cut = image_processor(images=pictures, do_rescale=False, do_normalize=False, return_tensors="pt")["pixel_values"]
    levels = Image.fromarray(np.arange(LEVELS, dtype=np.uint8).reshape(16, 16))
    table = image_processor(
        images=[Image.merge("RGB", [levels] * CHANNELS)],
        do_resize=False,
        do_center_crop=False,
        return_tensors="np",
    )["pixel_values"].reshape(CHANNELS, LEVELS)
    values = np.empty(cut.shape, table.dtype)
    for picture, found in zip(cut.numpy(), values, strict=True):
        for channel in range(CHANNELS):
            np.take(table[channel], picture[channel], out=found[channel], mode="clip")
    return torch.from_numpy(values)
