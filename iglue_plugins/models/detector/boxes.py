"""Boxes as corners, x1 y1 x2 y2: corrected by a network, and cut to a picture."""

from __future__ import annotations

import math

import torch
from torch import Tensor

MAX_LOG_SCALE = math.log(1000 / 16)  # a corrected box is at most 62.5 times as wide or high


def decode(deltas: Tensor, boxes: Tensor, weights: tuple[float, float, float, float]) -> Tensor:
    """Correct boxes by what a network says of them, as detectron2 does: a box's width is x2 - x1.

    Args:
        deltas: (N, K * 4) float32, K corrections for each box: the shift of the centre in widths and heights, and the
            logarithms of the factors of width and height; multiplied by `weights`.
        boxes: (N, 4) float32, in pixels.
        weights: What the four numbers of a correction are divided by.

    Returns:
        (N, K * 4) float32, x1 y1 x2 y2 in pixels for each correction.
    """
    shift_x, shift_y, log_width, log_height = (
        part / weight for part, weight in zip((deltas[:, place::4] for place in range(4)), weights, strict=True)
    )
    x1, y1, x2, y2 = boxes[:, :, None].unbind(1)
    width, height = x2 - x1, y2 - y1
    centre_x = shift_x * width + (x1 + 0.5 * width)
    centre_y = shift_y * height + (y1 + 0.5 * height)
    half_width = 0.5 * (log_width.clamp(max=MAX_LOG_SCALE).exp() * width)
    half_height = 0.5 * (log_height.clamp(max=MAX_LOG_SCALE).exp() * height)
    corners = [centre_x - half_width, centre_y - half_height, centre_x + half_width, centre_y + half_height]
    return torch.stack(corners, dim=-1).flatten(1)


def clip(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut boxes to a picture; those outside of it become empty.

    Args:
        boxes: (..., 4) float32, in pixels.
        size: The picture's height and width.

    Returns:
        (..., 4) float32.
    """
    height, width = size
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.stack([x1.clamp(0, width), y1.clamp(0, height), x2.clamp(0, width), y2.clamp(0, height)], dim=-1)


def has_area(boxes: Tensor) -> Tensor:
    """Tell boxes with an area from those that are a line, a point or reversed.

    Args:
        boxes: (..., 4) float32.

    Returns:
        (...) bool; False too where a corner is not a number.
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    return (x2 - x1 > 0) & (y2 - y1 > 0)
