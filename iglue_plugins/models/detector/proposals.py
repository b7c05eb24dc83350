"""Proposals: the places of a picture that a region proposal network takes for objects of any kind."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from iglue_plugins.models.detector.anchors import grid_anchors
from iglue_plugins.models.detector.boxes import clip, decode, has_area
from iglue_plugins.models.detector.suppression import suppress

WEIGHTS = (1.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True)
class ProposalSettings:
    """Says how proposals are chosen; the defaults are those of the published detector.

    Attributes:
        candidates: How many boxes with the highest logits are looked at.
        threshold: The greatest intersection over union of two proposals.
        count: How many proposals there are at most.
        stride: The distance of neighboring cells of the map, in pixels.
    """

    candidates: int = 6000
    threshold: float = 0.7
    count: int = 300
    stride: int = 16


@dataclass(frozen=True)
class Proposals:
    """Holds the proposals of a picture, by falling logit.

    Attributes:
        boxes: (P, 4) float32, x1 y1 x2 y2 in pixels of the resized picture.
        logits: (P,) float32, greater for objects.
    """

    boxes: Tensor
    logits: Tensor


def propose(
    logits: Tensor, deltas: Tensor, cell: Tensor, size: tuple[int, int], settings: ProposalSettings
) -> Proposals:
    """Choose the proposals of a picture from the maps of a region proposal network.

    Args:
        logits: (A, rows, columns) float32, one for each anchor.
        deltas: (A * 4, rows, columns) float32, anchor after anchor, a correction of each (`boxes.decode`).
        cell: (A, 4) float32, the anchors around a cell.
        size: Height and width of the resized picture in pixels.
        settings: How they are chosen.

    Returns:
        At most `settings.count` proposals; none where no box lies in the picture.
    """
    rows, columns = logits.shape[1:]
    logits = logits.permute(1, 2, 0).flatten()
    best = torch.sort(logits, descending=True, stable=True).indices[: settings.candidates]
    logits = logits[best]
    deltas = deltas.unflatten(0, (-1, 4)).permute(2, 3, 0, 1).reshape(-1, 4)[best]
    anchors = grid_anchors(cell, rows, columns, settings.stride)[best]
    boxes = clip(decode(deltas, anchors, WEIGHTS), size)
    visible = has_area(boxes)
    boxes, logits = boxes[visible], logits[visible]
    kept = suppress(boxes, logits, settings.threshold, limit=settings.count)
    return Proposals(boxes[kept], logits[kept])
