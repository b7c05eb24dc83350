"""The detector on all numbers of the reference (shared/detector/README.md), from pictures to regions."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny_detectors import ASSETS, load_tiny, picture, tiny_detector, tiny_preset, write_tiny

from iglue_plugins.models.detector.configuration import DetectorConfig
from iglue_plugins.models.detector.network import FasterRCNN
from iglue_plugins.models.detector.presets import PRESETS
from iglue_plugins.models.detector.proposals import ProposalSettings
from iglue_plugins.models.detector.roi_pooling import roi_pool
from iglue_plugins.models.detector.weights import ANCHORS, expected_shapes, read_weights

DETECTOR = Path(__file__).parents[2].parent / "shared" / "detector"
IMAGES = ("img0", "img1", "img2")

pytestmark = pytest.mark.skipif(
    not (DETECTOR / "img0.safetensors").is_file(),
    reason="the reference detector's numbers are not there (shared/detector)",
)

IGLUE = {"classes": "classes", "attributes": "attr_classes", "scores": "scores", "attribute_scores": "attr_scores"}
PORT = {"classes": "obj_ids", "attributes": "attr_ids", "scores": "obj_probs", "attribute_scores": "attr_probs"}


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return load_tiny(write_tiny(tmp_path_factory.mktemp("tiny"), load_file(DETECTOR / "tiny_state_dict.safetensors")))


@pytest.fixture(scope="module")
def report():
    return json.loads((DETECTOR / "report.json").read_text())


def assert_near(found, expected, relative=1e-4):
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= relative * expected.abs().max()


def digest(values):
    return hashlib.sha256(values.contiguous().numpy().tobytes()).hexdigest()


def check(regions, reference, prefix, names, features=None, step=1):
    """Compare regions with entries of the reference: numbers of classes exactly, boxes to 0.02 pixels."""
    np.testing.assert_allclose(regions.boxes, reference[f"{prefix}.boxes"].numpy(), atol=0.02)
    for name, other in names.items():
        expected, found = reference[f"{prefix}.{other}"].numpy(), getattr(regions, name)
        assert (found == expected).all() if expected.dtype == np.int64 else np.allclose(found, expected, atol=1e-5), (
            name
        )
    if features is not None:
        assert_near(torch.from_numpy(regions.features)[:, ::step], reference[f"{prefix}.{features}"])


def regions_of(detector, image):
    (regions,) = detector.extract([detector.prepare(picture(DETECTOR / f"{image}.png"))])
    return regions


def test_names_and_shapes_are_the_published_ones():
    published = json.loads((DETECTOR / "published_names_and_shapes.json").read_text())["tensors"]
    with torch.device("meta"):
        shapes = expected_shapes(FasterRCNN(DetectorConfig()))
    assert shapes == {name: tuple(shape) for name, shape in published.items()}


def test_what_the_tests_ship_is_the_reference():
    whole = read_weights(DETECTOR / "tiny_state_dict.safetensors")
    shipped = read_weights(ASSETS / "tiny_weights.safetensors")
    assert shipped.keys() == whole.keys() and all(torch.equal(shipped[name], whole[name]) for name in whole)
    assert (ASSETS / "img2.png").read_bytes() == (DETECTOR / "img2.png").read_bytes()
    for shipped, whole in (("tiny_config.yaml", "config_tiny.json"), ("resized_sizes.json", "shapes.json")):
        assert json.loads((ASSETS / shipped).read_text()) == json.loads((DETECTOR / whole).read_text())


@pytest.mark.parametrize("image", IMAGES)
@torch.inference_mode()
def test_every_step_of_the_network(network, report, image):
    reference = load_file(DETECTOR / f"{image}.safetensors")
    prepared = tiny_detector(network, tiny_preset("iglue-36")).prepare(picture(DETECTOR / f"{image}.png"))
    assert digest(prepared.pixels) == report["iglue_36"][image]["sha256_input_f32"]
    hidden = prepared.pixels[None]
    for name, stage in network.backbone.named_children():
        hidden = stage(hidden)
        if name in reference:
            assert_near(hidden[0], reference[name])
    logits, deltas = network.rpn_head(hidden)
    assert_near(logits, reference["rpn_objectness_map"])
    assert_near(deltas, reference["rpn_delta_map"])
    pooled = roi_pool(reference["res4"], reference["proposal_boxes"])
    assert torch.equal(pooled[:2], reference["roi_pool_first2"])
    assert_near(pooled[:, ::8].double().sum((2, 3)), reference["roi_pool_sum"], 1e-6)
    assert_near(network.roi_heads.res5(pooled[:2].clone()), reference["res5_first2"])
    found = network(prepared.pixels)
    torch.testing.assert_close(found.boxes, reference["proposal_boxes"], atol=0.02, rtol=0)
    names = {"features": "pooled", "class_logits": "class_logits", "attribute_logits": "attr_logits"}
    for name, other in (names | {"box_deltas": "box_deltas"}).items():
        assert_near(getattr(found, name), reference[other])


@pytest.mark.parametrize("image", IMAGES)
def test_iglues_36_boxes(network, image):
    reference = load_file(DETECTOR / f"{image}.safetensors")
    check(regions_of(tiny_detector(network, tiny_preset("iglue-36")), image), reference, "final36", IGLUE, "features")


@torch.inference_mode()
def test_float64(tmp_path):
    reference = load_file(DETECTOR / "img0_float64.safetensors")
    network = load_tiny(write_tiny(tmp_path))
    pixels = tiny_detector(network, tiny_preset("iglue-36")).prepare(picture(DETECTOR / "img0.png")).pixels
    feature_map = network.double().map_of(pixels)
    assert_near(feature_map[0], reference["res4"], 1e-6)  # weights are rounded to float32 when they are folded
    boxes = reference["proposal_boxes"].float()
    features = network.region_features(roi_pool(feature_map[0], boxes))
    assert_near(features[:, ::2], reference["pooled"].float(), 1e-6)


@pytest.mark.parametrize("image", ["img0", "img2"])
def test_the_published_size_of_pictures(tmp_path, image):
    reference = load_file(DETECTOR / f"{image}_800_1333.safetensors")
    unit = load_file(DETECTOR / "unit.safetensors")
    weights = load_file(DETECTOR / "tiny_state_dict.safetensors") | {ANCHORS: unit["anchors.cell_64_128_256_512"]}
    network = load_tiny(write_tiny(tmp_path, weights), proposals=300)
    detector = tiny_detector(network, PRESETS["iglue-36"])
    prepared = detector.prepare(picture(DETECTOR / f"{image}.png"))
    means = prepared.pixels.new_tensor(detector.settings.options["means_of_bgr"])[:, None, None]
    rows = reference["resized_u8_rows_every_37"].permute(2, 0, 1).float() - means
    assert torch.equal(prepared.pixels[:, ::37], rows)
    with torch.inference_mode():
        assert_near(network.map_of(prepared.pixels)[0, ::8], reference["res4_every_8th_channel"])
    check(detector.extract([prepared])[0], reference, "final36", IGLUE)


def test_anchors_of_the_checkpoint_win(tmp_path):
    reference = load_file(DETECTOR / "anchors_from_checkpoint.safetensors")
    weights = load_file(DETECTOR / "tiny_state_dict.safetensors") | {ANCHORS: reference[ANCHORS]}
    detector = tiny_detector(load_tiny(write_tiny(tmp_path, weights)), tiny_preset("iglue-36"))
    check(regions_of(detector, "img0"), reference, "final36", {}, "features", step=8)


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize(
    "name, choice, step",
    [
        ("36", {"fewest": 36, "most": 36}, 1),
        ("10_100", {}, 4),
        ("10_100_from0.3", {"thresholds": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)}, 4),
    ],
)
def test_the_ports_boxes(network, image, name, choice, step):
    reference = load_file(DETECTOR / "transformers_port.safetensors")
    detector = tiny_detector(network, tiny_preset("port-10-100", **choice))
    prepared = detector.prepare(picture(DETECTOR / f"{image}.png"))
    rows = reference[f"{image}.bgr.input_every_8th_row"]
    torch.testing.assert_close(prepared.pixels[:, ::8], rows, atol=1e-4, rtol=0)
    assert list(prepared.pixels.shape[1:]) == reference[f"{image}.bgr.{name}.sizes"].tolist()
    check(detector.extract([prepared])[0], reference, f"{image}.bgr.{name}", PORT, "roi_features", step)


@pytest.mark.parametrize("image", IMAGES)
def test_the_ports_reading_of_red_for_blue_is_met_by_a_picture_with_its_colors_exchanged(network, image):
    reference = load_file(DETECTOR / "transformers_port.safetensors")
    red, green, blue = picture(DETECTOR / f"{image}.png").split()
    exchanged = Image.merge("RGB", (blue, green, red))
    detector = tiny_detector(network, tiny_preset("port-10-100", fewest=36, most=36))
    (regions,) = detector.extract([detector.prepare(exchanged)])
    check(regions, reference, f"{image}.rgb.36", PORT, "roi_features", step=4)


def test_fewer_proposals(network):
    fewer = json.loads((DETECTOR / "fewer_proposals.json").read_text())
    for name, expected in fewer.items():
        image, count = name.split(".post")
        network.settings = replace(network.settings, count=int(count))
        found = regions_of(tiny_detector(network, tiny_preset("iglue-36")), image)
        assert getattr(found, "features", np.empty(0)).shape[0] == (36 if expected["outcome"] == "36" else 0), name
    network.settings = ProposalSettings(count=150)
