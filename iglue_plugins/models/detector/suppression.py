"""Non-maximum suppression: of boxes that cover much the same place, the best one is kept."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def suppress(boxes: Tensor, scores: Tensor, threshold: float, limit: int | None = None) -> Tensor:
    """Keep the best boxes: from the highest score down, a box removes those below that it overlaps too much.

    A box is removed when its intersection over union with a kept one is greater than the threshold, in the precision of
    the boxes; where both have no area, it is 0/0 and the box stays. torchvision's operator for GPUs does the same.

    Args:
        boxes: (N, 4) float32, x1 y1 x2 y2; a box's width is x2 - x1.
        scores: (N,) float32.
        threshold: The greatest intersection over union of two kept boxes.
        limit: How many are looked for at most; None for all.

    Returns:
        (kept,) int64, positions of the kept boxes by falling score; of equal scores the lower position comes first.
    """
    order = torch.sort(scores, descending=True, stable=True).indices
    corners = boxes[order].T.cpu().numpy()
    x1, y1, x2, y2 = np.ascontiguousarray(corners)
    areas = (x2 - x1) * (y2 - y1)
    highest = areas.dtype.type(threshold)
    is_left = np.ones(len(areas), dtype=bool)
    kept: list[int] = []
    for best in range(len(areas)):
        if limit is not None and len(kept) == limit:
            break
        if not is_left[best]:
            continue
        kept.append(best)
        rest = slice(best + 1, None)
        widths = np.maximum(np.minimum(x2[best], x2[rest]) - np.maximum(x1[best], x1[rest]), 0)
        heights = np.maximum(np.minimum(y2[best], y2[rest]) - np.maximum(y1[best], y1[rest]), 0)
        intersections = widths * heights
        with np.errstate(divide="ignore", invalid="ignore"):
            is_left[rest] &= ~(intersections / (areas[best] + areas[rest] - intersections) > highest)
    return order[torch.tensor(kept, dtype=torch.int64, device=order.device)]


def suppress_in_classes(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Keep the best boxes of each class as Caffe's Faster R-CNN does; classes share boxes and have scores of their own.

    Corners are pixels, so that a box's width is x2 - x1 + 1, and a box is removed when its intersection over union with
    a kept one is at least the threshold.

    Args:
        boxes: (N, 4) float32, x1 y1 x2 y2.
        scores: (N, classes) float32; of equal ones the lower position goes first.
        threshold: What the intersection over union of two kept boxes is less than.

    Returns:
        (N, classes) bool, whether a class keeps a box.
    """
    order = torch.sort(scores, dim=0, descending=True, stable=True).indices.cpu().numpy()
    overlaps = _overlaps_of_pixels(boxes.cpu().numpy(), threshold)
    is_left = np.ones(scores.T.shape, dtype=bool)
    classes = np.arange(len(is_left))
    for best in order:  # (classes,): the boxes at one place of the orders of all classes
        removed = overlaps[best] & is_left[classes, best, None]
        removed[classes, best] = False
        is_left &= ~removed
    return torch.from_numpy(np.ascontiguousarray(is_left.T)).to(scores.device)


def _overlaps_of_pixels(boxes: np.ndarray, threshold: float) -> np.ndarray:
    """Tell which of N boxes overlap by the threshold, (N, N) bool."""
    x1, y1, x2, y2 = boxes.T
    areas = (x2 - x1 + 1) * (y2 - y1 + 1)
    widths = np.maximum(np.minimum.outer(x2, x2) - np.maximum.outer(x1, x1) + 1, 0)
    heights = np.maximum(np.minimum.outer(y2, y2) - np.maximum.outer(y1, y1) + 1, 0)
    intersections = widths * heights
    return intersections / (np.add.outer(areas, areas) - intersections) >= boxes.dtype.type(threshold)
