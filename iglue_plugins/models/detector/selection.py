"""The choice of a picture's regions among the proposals, by what a detector says of each."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from iglue_plugins.models.detector.boxes import clip, decode, has_area
from iglue_plugins.models.detector.presets import Preset, ProposedBoxes, RegressedBoxes, caffe_scale
from iglue_plugins.models.detector.suppression import suppress, suppress_in_classes
from iglue_plugins.models.extraction.base import UnusablePictureError

WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # of the corrections of the published detector

NO_PROPOSALS = "no box in the picture"
TOO_FEW_BOXES = "too few boxes at any threshold"
EMPTY_BOX = "a box without an area"


@dataclass(frozen=True)
class Chosen:
    """Holds the chosen regions of a picture, in the order of the script that a preset follows.

    Attributes:
        index: (n,) int64, positions of the proposals, whose features are those of the regions.
        boxes: (n, 4) float32, x1 y1 x2 y2 in pixels of the picture itself.
        classes: (n,) int64.
        scores: (n,) float32, probabilities of the classes.
        attributes: (n,) int64; None where the detector has none.
        attribute_scores: (n,) float32, probabilities of the attributes; None where the detector has none.
    """

    index: Tensor
    boxes: Tensor
    classes: Tensor
    scores: Tensor
    attributes: Tensor | None
    attribute_scores: Tensor | None


def select(
    preset: Preset,
    proposals: Tensor,
    class_logits: Tensor,
    attribute_logits: Tensor | None,
    box_deltas: Tensor,
    resized: tuple[int, int],
    size: tuple[int, int],
) -> Chosen:
    """Choose the regions of a picture.

    Args:
        preset: How they are chosen.
        proposals: (P, 4) float32, x1 y1 x2 y2 in pixels of the resized picture.
        class_logits: (P, classes + 1) float32, the background last.
        attribute_logits: (P, attributes + 1) float32, "no attribute" last; None where the detector has none.
        box_deltas: (P, classes * 4) float32, a correction of the box for each class (`boxes.decode`).
        resized: Height and width of the resized picture in pixels.
        size: Height and width of the picture itself.

    Returns:
        The regions.

    Raises:
        UnusablePictureError: The preset's script fails for this picture, or would give it another picture's boxes.
    """
    if not len(proposals):
        raise UnusablePictureError(NO_PROPOSALS)
    scores, classes = class_logits.softmax(1)[:, :-1].max(1)
    if isinstance(preset.choice, RegressedBoxes):
        index, boxes = _choose_regressed(preset.choice, proposals, scores, classes, box_deltas, resized, size)
    else:
        in_picture = proposals / caffe_scale(size, preset.size)
        index = _choose_proposed(preset.choice, in_picture, class_logits)
        boxes = in_picture[index]
    attributes = attribute_scores = None
    if attribute_logits is not None:
        logits = attribute_logits[index]
        is_caffe = isinstance(preset.choice, ProposedBoxes)  # there "no attribute" has a probability
        attribute_scores, attributes = (logits.softmax(1)[:, :-1] if is_caffe else logits[:, :-1].softmax(1)).max(1)
    return Chosen(index, boxes, classes[index], scores[index], attributes, attribute_scores)


def _choose_regressed(
    choice: RegressedBoxes,
    proposals: Tensor,
    scores: Tensor,
    classes: Tensor,
    box_deltas: Tensor,
    resized: tuple[int, int],
    size: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """Return the rows of the chosen proposals, (n,), and their corrected boxes in the picture, (n, 4); see `select`."""
    deltas = box_deltas.unflatten(1, (-1, 4))[torch.arange(len(classes), device=classes.device), classes]
    boxes = clip(decode(deltas, proposals, WEIGHTS), resized)
    for threshold in choice.thresholds:
        index = suppress(boxes, scores, threshold, limit=choice.most)
        if len(index) >= choice.fewest:
            break
    else:
        raise UnusablePictureError(TOO_FEW_BOXES)
    down, across = size[0] / resized[0], size[1] / resized[1]
    boxes = boxes[index] * boxes.new_tensor([across, down, across, down])
    if choice.cut_to_picture:
        boxes = clip(boxes, size)
        if not has_area(boxes).all():
            raise UnusablePictureError(EMPTY_BOX)
    return index, boxes


def _choose_proposed(choice: ProposedBoxes, proposals: Tensor, class_logits: Tensor) -> Tensor:
    """Return the rows of the chosen proposals, (n,), whose boxes are in pixels of the picture; see `select`."""
    probabilities = class_logits.softmax(1)[:, :-1]
    is_kept = suppress_in_classes(proposals, probabilities, choice.threshold)
    confidence = (probabilities * is_kept).amax(1)
    confident = (confidence >= choice.confidence).nonzero()[:, 0]
    if choice.fewest <= len(confident) <= choice.most:
        return confident
    count = choice.fewest if len(confident) < choice.fewest else choice.most
    return torch.sort(confidence, descending=True, stable=True).indices[:count]
