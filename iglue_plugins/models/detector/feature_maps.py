"""The backbone's map of features in a detector of transformers, and its means over boxes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.backbone_utils import BackboneMixin


def find_backbone(model: nn.Module) -> tuple[nn.Module, int] | None:
    """Find the part of a detector that makes a map of features of a picture.

    Args:
        model: The detector.

    Returns:
        The backbone and the number of channels of its last map; None for a model of another design, such as YOLOS.
    """
    for module in model.modules():
        channels: Any = getattr(module, "intermediate_channel_sizes", None)  # what DETR's family wraps a backbone in
        if channels and isinstance(backbone := getattr(module, "model", None), nn.Module):
            return backbone, channels[-1]
        if isinstance(module, BackboneMixin):
            return module, module.channels[-1]
    return None


@contextmanager
def recorded_maps(backbone: nn.Module) -> Iterator[list[Tensor]]:
    """Keep the last maps that a backbone makes while the block runs.

    Args:
        backbone: The backbone.

    Yields:
        A list, to which each forward pass adds its map, (N, D, rows, columns).
    """
    maps: list[Tensor] = []

    def keep(module: nn.Module, arguments: Any, output: Any) -> None:
        maps.append((output if isinstance(output, list | tuple) else output.feature_maps)[-1])

    handle = backbone.register_forward_hook(keep)
    try:
        yield maps
    finally:
        handle.remove()


def covered_shares(mask: Tensor) -> Tensor:
    """Return what shares of the pixel values a picture takes up, which begins at their upper left corner.

    Args:
        mask: (height, width) int64, 1 for a pixel of the picture and 0 for padding.

    Returns:
        (2,) float32, of the width and of the height.
    """
    return torch.stack([mask.any(0).float().mean(), mask.any(1).float().mean()])


def box_means(features: Tensor, boxes: Tensor) -> Tensor:
    """Average a map over boxes: each place counts by the share of it that lies in the box.

    Args:
        features: (D, rows, columns) float, the map.
        boxes: (n, 4) float, x1 y1 x2 y2 as shares of the map, within [0, 1]; x1 < x2 and y1 < y2.

    Returns:
        (n, D) float.
    """
    left, top, right, bottom = boxes.double().unbind(-1)  # the smallest box of float32 has an area in float64
    down, across = _weights(top, bottom, features.shape[1]), _weights(left, right, features.shape[2])
    return torch.einsum("nr,drc,nc->nd", down, features.double(), across).to(features.dtype)


def _weights(starts: Tensor, ends: Tensor, places: int) -> Tensor:
    """Return what shares of intervals, given as shares of a side, lie in each of its places, (n, places)."""
    edges = torch.arange(places + 1, dtype=starts.dtype, device=starts.device) / places
    overlaps = ends[:, None].minimum(edges[1:]) - starts[:, None].maximum(edges[:-1])
    overlaps = overlaps.clamp(min=0)
    return overlaps / overlaps.sum(-1, keepdim=True)
