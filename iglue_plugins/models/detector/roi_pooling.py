"""RoI max pooling: the part of a map that a box covers, as a map of a fixed size."""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 4096  # bins whose features are copied at a time; more need more memory and are no faster


def roi_pool(features: Tensor, boxes: Tensor, output: int = 14, scale: float = 1 / 16) -> Tensor:
    """Pool the maximum of each of output x output bins of boxes, whose corners are rounded to cells of the map.

    A box reaches from the cell of its first corner to that of its last one and is at least a cell wide and high. Bins
    overlap by a cell where their number does not divide it. Source: Fast R-CNN's RoIPool, as torchvision has it, with
    the rounding of its float32 arithmetic.

    The maxima of all windows of a height and width come from those that are a cell narrower or lower, so that each bin
    is looked up once. Memory is that of the result and of about four maps.

    Args:
        features: (C, rows, columns), the map, of any floating type.
        boxes: (P, 4) float32, x1 y1 x2 y2 in pixels; they may lie outside of the map.
        output: How many bins a box has in each direction.
        scale: Cells per pixel.

    Returns:
        (P, C, output, output) in the type of the map, with the channels last in memory; 0 in bins outside of the map.
    """
    channels, rows, columns = features.shape
    x1, y1, x2, y2 = (boxes.cpu() * scale).unbind(1)  # a GPU divides by multiplying, which rounds otherwise
    tops, heights = _bins(y1, y2, rows, output)
    lefts, widths = _bins(x1, x2, columns, output)
    pooled = features.new_zeros(len(boxes) * output**2, channels)
    cells = features.permute(1, 2, 0).contiguous()
    tall = cells  # at row y, the maximum of the rows from y to y + height - 1
    for height in range(1, int(heights.max()) + 1 if len(boxes) else 0):
        if height > 1:
            tall = torch.maximum(tall[:-1], cells[height - 1 :])
        wide = tall  # at column x, the maximum of these from x to x + width - 1
        for width in range(1, int(widths.max()) + 1):
            if width > 1:
                wide = torch.maximum(wide[:, :-1], tall[:, width - 1 :])
            bins = (heights[:, :, None] == height) & (widths[:, None, :] == width)
            windows = (tops[:, :, None] * wide.shape[1] + lefts[:, None, :])[bins].to(features.device)
            places = bins.flatten().nonzero()[:, 0].to(features.device)
            maxima = wide.flatten(0, 1)
            for place, window in zip(places.split(CHUNK), windows.split(CHUNK), strict=True):
                pooled.index_copy_(0, place, maxima.index_select(0, window))
    return pooled.unflatten(0, (len(boxes), output, output)).permute(0, 3, 1, 2)


def _bins(first: Tensor, last: Tensor, cells: int, output: int) -> tuple[Tensor, Tensor]:
    """Cut boxes into bins in one direction.

    Args:
        first: (P,) float32, where they begin, in cells.
        last: (P,) float32, where they end, in cells.
        cells: The map's size in this direction.
        output: The number of bins.

    Returns:
        (P, output) int64, the first cell of each bin, and (P, output) int64, how many cells it has; 0 or less where it
        lies outside of the map.
    """
    start = _round_half_away(first)[:, None]
    size = (_round_half_away(last)[:, None] - start + 1).clamp(min=1) / output
    bins = torch.arange(output, dtype=first.dtype)
    begin = ((bins * size).floor() + start).clamp(0, cells)
    end = (((bins + 1) * size).ceil() + start).clamp(0, cells)
    return begin.long(), (end - begin).long()


def _round_half_away(values: Tensor) -> Tensor:
    """Round as C does, halves away from 0; torch.round takes the even neighbor."""
    whole = values.trunc()
    return whole + ((values - whole).abs() >= 0.5) * values.sign()
