"""The choice of boxes: of IGLUE's script, of the port to transformers, and of Caffe's scripts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from detector_choices import check_caffe, check_fewer_proposals, check_iglue, choose
from torch import Tensor

from iglue_plugins.models.detector.presets import PRESETS, ImageSize, Preset, ProposedBoxes, RegressedBoxes
from iglue_plugins.models.detector.selection import select
from iglue_plugins.models.extraction.base import UnusablePictureError

FEWER = json.loads((Path(__file__).parents[2] / "assets" / "detector" / "img2_fewer_proposals.json").read_text())
SIZE = ImageSize(192, 320, "pillow")


def test_iglues_36_are_the_references(img2: dict[str, Tensor]) -> None:
    check_iglue(img2, "img2")


@pytest.mark.parametrize("name", FEWER)
def test_fewer_proposals_are_treated_as_the_reference_does(img2: dict[str, Tensor], name: str) -> None:
    check_fewer_proposals(img2, "img2", FEWER[name])


@pytest.mark.parametrize("count", ["36", "10_100"])
def test_the_choice_of_caffes_scripts_is_the_references(img2: dict[str, Tensor], count: str) -> None:
    expected = {name.removeprefix("caffe."): values for name, values in img2.items() if name.startswith("caffe.")}
    check_caffe(img2, "img2", count, expected)


def test_the_port_goes_on_to_100_boxes_at_the_threshold_that_leaves_10(img2: dict[str, Tensor]) -> None:
    """IGLUE's script finds its 36 at the same threshold, so that they come first."""
    chosen, first = choose(PRESETS["port-10-100"], img2, "img2"), img2["final36.index"]
    assert 36 < len(chosen.index) <= 100
    assert torch.equal(chosen.index[:36], first)
    torch.testing.assert_close(chosen.boxes[:36], img2["final36.boxes"], atol=2e-5, rtol=0)
    assert (chosen.scores.diff() <= 0).all()


def test_the_port_refuses_what_leaves_fewer_than_10(img2: dict[str, Tensor]) -> None:
    assert len(choose(PRESETS["port-10-100"], img2, "img2", first=12).index) >= 10
    with pytest.raises(UnusablePictureError, match="^too few boxes at any threshold$"):
        choose(PRESETS["port-10-100"], img2, "img2", first=9)


def make_heads(boxes: Tensor, scores: Tensor, classes: int = 3) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Proposals that are not corrected, of class 1 and attribute 2 with these scores."""
    logits = torch.full((len(boxes), classes + 1), -30.0)
    logits[:, 1], logits[:, -1] = scores.log(), (1 - scores).log()
    attribute_logits = torch.zeros(len(boxes), 5)
    attribute_logits[:, 2] = 1.0
    return boxes, logits, attribute_logits, torch.zeros(len(boxes), classes * 4)


def test_boxes_are_brought_to_the_picture_as_the_reference_does(geometry: dict[str, Tensor]) -> None:
    boxes, scores = geometry["to_raw.boxes_at_192x282"], torch.tensor([0.4, 0.3, 0.2, 0.1])
    preset = Preset("all", SIZE, RegressedBoxes((1.0,), 3, 4, True))
    heads = make_heads(boxes[:3], scores[:3])
    chosen = select(preset, *heads, (192, 282), (120, 176))
    torch.testing.assert_close(chosen.boxes, geometry["to_raw.boxes_at_120x176"], atol=2e-5, rtol=0)
    assert (chosen.index.tolist(), chosen.classes.tolist()) == ([0, 1, 2], [1, 1, 1])
    torch.testing.assert_close(chosen.scores, scores[:3])
    with pytest.raises(UnusablePictureError, match="^a box without an area$"):
        select(preset, *make_heads(boxes, scores), (192, 282), (120, 176))
    port = replace(preset, choice=replace(preset.choice, cut_to_picture=False))
    assert len(select(port, *make_heads(boxes, scores), (192, 282), (120, 176)).boxes) == 4


def test_the_threshold_rises_until_enough_boxes_are_left() -> None:
    """Ten boxes, each a pixel beside the last: 9 / 11 in common, 8 / 12 with the last but one, and so on."""
    boxes = torch.stack([torch.tensor([k, 0.0, k + 10.0, 10.0]) for k in range(10)])
    heads = make_heads(boxes, torch.linspace(0.9, 0.1, 10))
    expected = {2: [0, 6], 3: [0, 4, 8], 5: [0, 2, 4, 6, 8], 6: list(range(10))}
    for fewest, index in expected.items():
        preset = Preset("few", SIZE, RegressedBoxes((0.3, 0.5, 0.7, 0.9), fewest, 10, False))
        assert select(preset, *heads, (50, 50), (50, 50)).index.tolist() == index


def test_attributes_have_probabilities_without_none_but_in_caffes_scripts() -> None:
    heads = make_heads(torch.tensor([[0.0, 0.0, 40.0, 30.0]]), torch.tensor([0.9]))
    regressed = Preset("one", SIZE, RegressedBoxes((0.5,), 1, 1, True))
    proposed = Preset("one", SIZE, ProposedBoxes(0.3, 0.2, 1, 1))
    e = torch.tensor(1.0).exp()
    for preset, others in ((regressed, 3), (proposed, 4)):
        chosen = select(preset, *heads, (192, 192), (192, 192))
        torch.testing.assert_close(chosen.attribute_scores, (e / (e + others))[None])
        assert chosen.attributes.tolist() == [2]


@pytest.mark.parametrize("name", PRESETS)
def test_a_detector_without_attributes_has_none(img2: dict[str, Tensor], name: str) -> None:
    boxes, logits, _, deltas = (img2[key] for key in ("proposal_boxes", "class_logits", "attr_logits", "box_deltas"))
    chosen = select(PRESETS[name], boxes, logits, None, deltas, (98, 320), (80, 260))
    assert chosen.attributes is None and chosen.attribute_scores is None


@pytest.mark.parametrize("name", PRESETS)
def test_a_picture_without_proposals_is_left_out(name: str) -> None:
    with pytest.raises(UnusablePictureError, match="^no box in the picture$"):
        select(PRESETS[name], *make_heads(torch.zeros(0, 4), torch.zeros(0)), (98, 320), (80, 260))


@pytest.mark.parametrize("confident", [3, 20, 70])
def test_caffes_scripts_take_confident_boxes_in_order_of_proposals_or_else_the_best(confident: int) -> None:
    """Boxes far from each other, of which every second one is confident until there are enough."""
    boxes = torch.stack([torch.tensor([20.0 * k, 0.0, 20.0 * k + 5, 5.0]) for k in range(150)])
    scores = torch.linspace(0.1, 0.19, 150)[torch.randperm(150, generator=torch.Generator().manual_seed(0))]
    scores[1 : 2 * confident : 2] += 0.3
    preset = Preset("caffe", ImageSize(20, 5000, "opencv"), ProposedBoxes(0.3, 0.2, 10, 50))
    chosen = select(preset, *make_heads(boxes, scores), (20, 3000), (20, 3000))
    best = scores.sort(descending=True).indices
    expected = {3: best[:10], 20: torch.arange(1, 40, 2), 70: best[:50]}[confident]
    assert torch.equal(chosen.index, expected)
    assert torch.equal(chosen.boxes, boxes[expected])
