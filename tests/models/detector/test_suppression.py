"""Non-maximum suppression, against the reference's results and against definitions in exact fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from iglue_plugins.models.detector.suppression import suppress, suppress_in_classes

THRESHOLDS = ("0.3", "0.5", "0.6", "0.7", "0.8", "0.9")


@pytest.mark.parametrize("threshold", ["0.3", "0.5", "0.7"])
def test_ties_equal_overlaps_and_lines_are_the_references(geometry: dict[str, Tensor], threshold: str) -> None:
    found = suppress(geometry["nms.boxes"], geometry["nms.scores"], float(threshold))
    assert torch.equal(found, geometry[f"nms.keep_{threshold}"])


@pytest.mark.parametrize("tenths", range(3, 10))
def test_many_boxes_are_the_references(geometry: dict[str, Tensor], tenths: int) -> None:
    boxes, threshold = geometry["nms_many.boxes"], 0.3 + 0.1 * (tenths - 3)
    found = suppress(boxes, geometry["nms_many.scores"], threshold)
    assert torch.equal(found, geometry[f"nms_many.keep_{tenths}"])
    found = suppress(boxes, geometry["nms_many.scores_with_ties"], threshold)
    assert torch.equal(found, geometry[f"nms_many.keep_{tenths}_ties_lower_index_first"])


def slow_suppress(boxes: list[list[int]], scores: list[float], threshold: str) -> list[int]:
    def overlap(a: list[int], b: list[int]) -> Fraction:
        width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
        height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
        union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
        return Fraction(width * height, union) if union else Fraction(0)

    kept: list[int] = []
    for place in sorted(range(len(boxes)), key=lambda place: (-scores[place], place)):
        if all(overlap(boxes[place], boxes[other]) <= Fraction(threshold) for other in kept):
            kept.append(place)
    return kept


def draw_boxes(generator: torch.Generator, count: int) -> Tensor:
    """Boxes of whole numbers on few places: many are equal, some are lines, and many overlaps are round fractions."""
    corners = torch.randint(0, 5, (count, 2), generator=generator)
    return torch.cat([corners, corners + torch.randint(0, 11, (count, 2), generator=generator)], dim=1)


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("seed", range(8))
def test_random_boxes_are_suppressed_as_defined(seed: int, threshold: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    boxes = draw_boxes(generator, 80)
    scores = torch.randint(0, 30, (80,), generator=generator) / 30
    expected = slow_suppress(boxes.tolist(), scores.tolist(), threshold)
    assert suppress(boxes.float(), scores, float(threshold)).tolist() == expected
    assert suppress(boxes.float(), scores, float(threshold), limit=7).tolist() == expected[:7]
    assert suppress(boxes.double(), scores, float(threshold)).dtype == torch.int64


def test_an_overlap_equal_to_the_threshold_stays_whatever_float32_makes_of_it() -> None:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 6.0], [0.0, 0.0, 10.0, 7.0]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    assert suppress(boxes[:2], scores[:2], 0.6).tolist() == [0, 1]  # 0.6 is greater in float32 than in float64
    assert suppress(boxes[[0, 2]], scores[:2], 0.7).tolist() == [0, 1]  # and 0.7 is less
    assert suppress(boxes[:2], scores[:2], 0.5999).tolist() == [0]


def test_no_box_and_one_box() -> None:
    assert suppress(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []
    assert suppress(torch.zeros(1, 4), torch.zeros(1), 0.5).tolist() == [0]
    assert suppress_in_classes(torch.zeros(0, 4), torch.zeros(0, 3), 0.5).shape == (0, 3)


def slow_suppress_in_class(boxes: list[list[int]], scores: list[float], threshold: str) -> list[bool]:
    def overlap(a: list[int], b: list[int]) -> Fraction:
        pixels_a, pixels_b = (
            {(x, y) for x in range(box[0], box[2] + 1) for y in range(box[1], box[3] + 1)} for box in (a, b)
        )
        return Fraction(len(pixels_a & pixels_b), len(pixels_a | pixels_b))

    kept: list[int] = []
    for place in sorted(range(len(boxes)), key=lambda place: (-scores[place], place)):
        if all(overlap(boxes[place], boxes[other]) < Fraction(threshold) for other in kept):
            kept.append(place)
    return [place in kept for place in range(len(boxes))]


@pytest.mark.parametrize("threshold", ["0.3", "0.5"])
@pytest.mark.parametrize("seed", range(4))
def test_classes_are_suppressed_each_by_its_scores_and_by_pixels(seed: int, threshold: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    boxes = draw_boxes(generator, 30)
    scores = torch.randint(0, 12, (30, 9), generator=generator) / 12
    expected = [slow_suppress_in_class(boxes.tolist(), column.tolist(), threshold) for column in scores.T]
    assert suppress_in_classes(boxes.float(), scores, float(threshold)).T.tolist() == expected


def test_an_overlap_equal_to_the_threshold_is_removed_in_classes() -> None:
    boxes = torch.tensor([[0.0, 0.0, 9.0, 0.0], [0.0, 0.0, 2.0, 0.0], [9.0, 0.0, 10.0, 0.0]])  # 3 of 10 pixels, 1 of 11
    scores = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
    kept = [[True, False], [False, True], [True, True]]  # the second class begins at the end
    assert suppress_in_classes(boxes, scores, 0.3).tolist() == kept
    assert suppress_in_classes(boxes, scores, 0.30001).all()
