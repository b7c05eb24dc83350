"""Boxes: decoding of corrections, clipping, and which ones have an area."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from iglue_plugins.models.detector.boxes import clip, decode, has_area


@pytest.mark.parametrize("name, weights", [("1", (1.0, 1.0, 1.0, 1.0)), ("10_10_5_5", (10.0, 10.0, 5.0, 5.0))])
def test_decoded_boxes_are_the_references(geometry: dict[str, Tensor], name: str, weights: tuple) -> None:
    """Some corrections are far beyond the cap on the growth of a box."""
    found = decode(geometry["decode.deltas_4_per_class"], geometry["decode.boxes"], weights)
    torch.testing.assert_close(found, geometry[f"decode.weights_{name}"], atol=0, rtol=1e-6)


def test_no_correction_leaves_a_box_as_it_is() -> None:
    boxes = torch.tensor([[8.0, 16.0, 24.0, 20.0], [-4.0, 0.0, 4.0, 64.0]])
    assert torch.equal(decode(torch.zeros(2, 12), boxes, (10.0, 10.0, 5.0, 5.0)), boxes.repeat(1, 3))


def test_a_correction_moves_by_widths_and_grows_by_exponents_up_to_a_cap() -> None:
    box, ln2 = torch.tensor([[10.0, 10.0, 20.0, 30.0]]), 0.6931472
    moved = decode(torch.tensor([[10.0, -5.0, 0.0, 0.0]]), box, (10.0, 10.0, 5.0, 5.0))
    torch.testing.assert_close(moved, torch.tensor([[20.0, 0.0, 30.0, 20.0]]))
    grown = decode(torch.tensor([[0.0, 0.0, 5 * ln2, -5 * ln2]]), box, (10.0, 10.0, 5.0, 5.0))
    torch.testing.assert_close(grown, torch.tensor([[5.0, 15.0, 25.0, 25.0]]))
    capped = decode(torch.tensor([[0.0, 0.0, 500.0, 0.0]]), box, (10.0, 10.0, 5.0, 5.0))
    torch.testing.assert_close(capped[0, 2] - capped[0, 0], torch.tensor(10 * 62.5))


def test_no_boxes_are_decoded_to_none() -> None:
    assert decode(torch.zeros(0, 8), torch.zeros(0, 4), (1.0, 1.0, 1.0, 1.0)).shape == (0, 8)


def test_clipped_boxes_are_the_references(geometry: dict[str, Tensor]) -> None:
    clipped = clip(geometry["clip.boxes"], (96, 128))
    assert torch.equal(clipped, geometry["clip.to_h96_w128"])
    assert torch.equal(has_area(clipped), geometry["clip.nonempty"])


def test_what_is_not_a_number_has_no_area() -> None:
    assert has_area(torch.tensor([[0.0, 0.0, float("nan"), 1.0], [2.0, 2.0, 1.0, 1.0]])).tolist() == [False, False]
