"""The boxes that a region proposal network corrects: some shapes around each cell of its map."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def cell_anchors(sizes: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """Make the anchors around a cell, as detectron2 does: not rounded, unlike Caffe's.

    Args:
        sizes: Square roots of their areas, in pixels.
        ratios: Their heights divided by their widths.

    Returns:
        (sizes * ratios, 4) float32, x1 y1 x2 y2 relative to the cell; size after size, for each all ratios.
    """
    anchors = []
    for size in sizes:
        for ratio in ratios:
            width = math.sqrt(size**2 / ratio)
            height = ratio * width
            anchors.append((-width / 2, -height / 2, width / 2, height / 2))
    return torch.tensor(anchors, dtype=torch.float32)


def grid_anchors(cell: Tensor, rows: int, columns: int, stride: int) -> Tensor:
    """Move the anchors of a cell to all cells of a map.

    Args:
        cell: (A, 4) float32, the anchors around a cell.
        rows: The map's height.
        columns: Its width.
        stride: The distance of neighboring cells in pixels; the first cell is at 0, 0.

    Returns:
        (rows * columns * A, 4) float32, x1 y1 x2 y2 in pixels; row after row, column after column, anchor after anchor.
    """
    y, x = torch.meshgrid(
        torch.arange(rows, dtype=cell.dtype, device=cell.device) * stride,
        torch.arange(columns, dtype=cell.dtype, device=cell.device) * stride,
        indexing="ij",
    )
    corners = torch.stack([x, y, x, y], dim=-1)
    return (corners[:, :, None] + cell).reshape(-1, 4)
