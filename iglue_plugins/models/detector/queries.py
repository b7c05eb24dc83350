"""The queries of a detector of transformers: their classes, probabilities and boxes, and which of them are regions."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal, cast

import torch
from torch import Tensor
from transformers.image_transforms import center_to_corners_format

from iglue_plugins.utils.errors import UserError

ProbabilityKind = Literal["softmax", "sigmoid"]

SCORES_OF_THREE_ZEROS: dict[ProbabilityKind, float] = {"softmax": 1 / 3, "sigmoid": 1 / 2}


@dataclass(frozen=True)
class ChosenQueries:
    """Holds the queries of a picture that become regions, those of the highest scores first.

    Attributes:
        index: (n,) int64, positions among the queries.
        shares: (n, 4) float32, x1 y1 x2 y2 as shares of the picture, within [0, 1].
        boxes: (n, 4) float32, x1 y1 x2 y2 in pixels of the picture, within it.
        classes: (n,) int64.
        scores: (n,) float32, the classes' probabilities.
    """

    index: Tensor
    shares: Tensor
    boxes: Tensor
    classes: Tensor
    scores: Tensor


def find_probability_kind(processor: Any, source: str) -> ProbabilityKind:
    """Find out how an image processor makes probabilities of logits, by having it read a query of known logits.

    DETR and its like have a softmax whose last class is "no object"; what is trained by a focal loss has a sigmoid for
    each class. The same processor's rule for boxes is checked: centre, width and height as shares of the picture.

    Args:
        processor: The image processor.
        source: The model that it belongs to, for the error.

    Returns:
        'softmax', over all classes, of which the last one counts as none; or 'sigmoid'.

    Raises:
        UserError: The processor reads the outputs in another way, or not at all.
    """
    outputs = SimpleNamespace(logits=torch.zeros(1, 1, 3), pred_boxes=torch.tensor([[[0.5, 0.25, 0.5, 0.25]]]))
    try:
        (found,) = processor.post_process_object_detection(outputs, threshold=0.0, target_sizes=[(16, 8)])
        scores, box = found["scores"], found["boxes"][0].tolist()
    except (AttributeError, TypeError, ValueError, KeyError, IndexError, RuntimeError):
        scores, box = torch.zeros(0), []
    if len(scores) and box == [2.0, 2.0, 6.0, 6.0]:
        for kind, expected in SCORES_OF_THREE_ZEROS.items():
            if torch.allclose(scores, torch.full_like(scores, expected)):
                return kind
    raise UserError(
        f"--detector: the image processor of {source!r}, a {type(processor).__name__}, does not make boxes and "
        "probabilities as DETR's and RT-DETR's do; choose a detector of another kind"
    )


def class_probabilities(logits: Tensor, kind: ProbabilityKind) -> Tensor:
    """Turn logits into probabilities of classes.

    Args:
        logits: (queries, classes) float32, with "no object" as the last class for a softmax.
        kind: How.

    Returns:
        (queries, classes) float32, without "no object".
    """
    return logits.sigmoid() if kind == "sigmoid" else logits.softmax(-1)[..., :-1]


def choose_queries(
    logits: Tensor, boxes: Tensor, kind: ProbabilityKind, size: tuple[int, int], count: int
) -> ChosenQueries:
    """Choose the queries whose best class is the most probable.

    Boxes that have no area within the picture are left out. Of equal scores the first query comes first.

    Args:
        logits: (queries, classes) float32.
        boxes: (queries, 4) float32, centre x and y, width and height as shares of the picture.
        kind: How logits become probabilities.
        size: Width and height of the picture in pixels.
        count: How many are chosen, if there are so many.

    Returns:
        The queries, by falling score.
    """
    scores, classes = class_probabilities(logits, kind).max(-1)
    shares = cast("Tensor", center_to_corners_format(cast("Any", boxes)))
    limits = shares.new_tensor([*size, *size])
    pixels = (shares * limits).clamp(min=0).minimum(limits)
    has_area = (pixels[:, 2:] > pixels[:, :2]).all(-1)
    order = scores.argsort(descending=True, stable=True)
    index = order[has_area[order]][:count]
    return ChosenQueries(index, shares[index].clamp(0, 1), pixels[index], classes[index], scores[index])
