"""The detector's functions without a network, on all numbers of the reference (shared/detector/README.md)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from detector_choices import CELL, check_caffe, check_fewer_proposals, check_iglue, check_proposals, choose
from safetensors.torch import load_file
from torch import Tensor

from iglue_plugins.models.detector.presets import PRESETS, caffe_scale
from iglue_plugins.models.detector.roi_pooling import roi_pool
from iglue_plugins.models.detector.suppression import suppress

DETECTOR = Path(__file__).parents[2].parent / "shared" / "detector"
ASSETS = Path(__file__).parents[1] / "assets" / "detector"
IMAGES = ("img0", "img1", "img2")

pytestmark = pytest.mark.skipif(
    not (DETECTOR / "unit.safetensors").is_file(),
    reason="the reference detector's numbers are not there (shared/detector)",
)


@pytest.fixture(scope="module", params=IMAGES)
def image(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def reference(image: str) -> dict[str, Tensor]:
    return load_file(DETECTOR / f"{image}.safetensors")


def test_the_numbers_beside_the_tests_are_the_references() -> None:
    shipped, whole = load_file(ASSETS / "geometry.safetensors"), load_file(DETECTOR / "unit.safetensors")
    assert [name for name, values in shipped.items() if not torch.equal(values, whole[name])] == []
    shipped, whole = load_file(ASSETS / "img2_choice.safetensors"), load_file(DETECTOR / "img2.safetensors")
    caffe = load_file(DETECTOR / "caffe_choice.safetensors")
    whole |= {
        f"caffe.{name.removeprefix('img2.')}": values for name, values in caffe.items() if name.startswith("img2.")
    }
    assert [name for name, values in shipped.items() if not torch.equal(values, whole[name])] == []


def test_proposals(reference: dict[str, Tensor], image: str) -> None:
    check_proposals(reference, image, CELL, reference)


def test_proposals_of_the_checkpoints_anchors() -> None:
    expected = load_file(DETECTOR / "anchors_from_checkpoint.safetensors")
    cell = expected["proposal_generator.anchor_generator.cell_anchors.0"]
    check_proposals(load_file(DETECTOR / "img0.safetensors"), "img0", cell, expected)


def test_pooled_maps(reference: dict[str, Tensor]) -> None:
    pooled = roi_pool(reference["res4"], reference["proposal_boxes"])
    assert torch.equal(pooled[:2], reference["roi_pool_first2"])
    torch.testing.assert_close(pooled[:, ::8].double().sum((2, 3)), reference["roi_pool_sum"], atol=1e-9, rtol=1e-12)


def test_iglues_36(reference: dict[str, Tensor], image: str) -> None:
    check_iglue(reference, image)


def test_fewer_proposals(reference: dict[str, Tensor], image: str) -> None:
    cases = json.loads((DETECTOR / "fewer_proposals.json").read_text())
    cases = [case for name, case in cases.items() if name.startswith(image)]
    assert len(cases) == 5
    for case in cases:
        check_fewer_proposals(reference, image, case)


@pytest.mark.parametrize("count", ["36", "10_100"])
def test_the_choice_of_caffes_scripts(reference: dict[str, Tensor], image: str, count: str) -> None:
    expected = load_file(DETECTOR / "caffe_choice.safetensors")
    of_image = {name.removeprefix(f"{image}."): values for name, values in expected.items() if name.startswith(image)}
    check_caffe(reference, image, count, of_image)


def test_caffes_factors() -> None:
    (shapes,) = (rows for name, rows in json.loads((DETECTOR / "shapes.json").read_text()).items() if "scale" in name)
    assert len(shapes) == 25
    for height, width, _, _, scale in shapes:
        assert caffe_scale((height, width), PRESETS["caffe-36"].size) == scale


def test_the_port_goes_on_where_iglues_script_stops(reference: dict[str, Tensor], image: str) -> None:
    chosen = choose(PRESETS["port-10-100"], reference, image)
    assert torch.equal(chosen.index[:36], reference["final36.index"])


@pytest.mark.parametrize("name, threshold", [("36", 0.5), ("10_100", 0.5), ("10_100_from0.3", 0.3)])
def test_the_ports_boxes_survive_its_threshold(image: str, name: str, threshold: float) -> None:
    """It resizes pictures otherwise, so that what its heads say of these boxes is not at hand, but the boxes are."""
    numbers = load_file(DETECTOR / "transformers_port.safetensors")
    boxes, scores = numbers[f"{image}.bgr.{name}.boxes"], numbers[f"{image}.bgr.{name}.obj_probs"]
    assert suppress(boxes, scores, threshold).tolist() == list(range(len(boxes)))
    assert len(suppress(boxes, scores, threshold - 0.1)) < len(boxes)


def test_groups_are_suppressed_each_for_itself() -> None:
    numbers = load_file(DETECTOR / "unit.safetensors")
    boxes, scores, group = numbers["nms_many.boxes"], numbers["nms_many.scores"], numbers["nms_groups.group"]
    members = [(group == number).nonzero()[:, 0] for number in group.unique()]
    kept = torch.cat([rows[suppress(boxes[rows], scores[rows], 0.5)] for rows in members])
    assert torch.equal(kept[scores[kept].sort(descending=True).indices], numbers["nms_groups.keep_0.5"])
