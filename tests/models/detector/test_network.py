"""The detector's network, on the reference's tiny weights."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import load_file
from tiny_detectors import ASSETS, load_tiny, picture, tiny_preset, write_tiny
from torch import nn
from torch.nn import functional

from iglue_plugins.models.detector import network as network_module
from iglue_plugins.models.detector.backbone import NORM_EPSILON, Backbone, FoldedConv, Stem
from iglue_plugins.models.detector.configuration import DetectorConfig
from iglue_plugins.models.detector.network import FasterRCNN
from iglue_plugins.models.detector.resizing import read_pixels
from iglue_plugins.models.detector.weights import expected_shapes

TINY = DetectorConfig(50, 8, 16, 4, 24, 24, 10, (24.0, 48.0, 96.0, 192.0))
MAPS = [(800, 1067, 50, 67), (600, 1000, 38, 63), (1067, 800, 67, 50), (33, 47, 2, 3), (65, 129, 4, 8), (16, 16, 1, 1)]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return load_tiny(write_tiny(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def pixels():
    return read_pixels(picture(), tiny_preset("iglue-36").size)


def test_the_published_network_has_the_published_number_of_weights():
    with torch.device("meta"):
        shapes = expected_shapes(FasterRCNN(DetectorConfig()))
    assert len(shapes) == 536
    assert 4 * sum(map(math.prod, shapes.values())) == 262_180_856
    assert shapes["roi_heads.res5.2.conv3.norm.running_var"] == (2048,)
    assert shapes["roi_heads.box_predictor.fc_attr.weight"] == (512, 2304)


@pytest.mark.parametrize("height, width, rows, columns", MAPS)
def test_the_map_has_the_references_size(height, width, rows, columns):
    with torch.device("meta"):
        assert Backbone(TINY)(torch.empty(1, 3, height, width)).shape == (1, 64, rows, columns)


def test_pooling_after_the_first_convolution_is_caffes():
    with torch.device("meta"):
        assert Stem(8)(torch.empty(1, 3, 98, 320)).shape == (1, 8, 24, 80)


def test_a_folded_convolution_does_what_convolution_and_batch_norm_do():
    torch.manual_seed(0)
    plain, norm, folded = nn.Conv2d(5, 7, 3, padding=1, bias=False), nn.BatchNorm2d(7).eval(), FoldedConv(5, 7, 3)
    for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        nn.init.uniform_(values, 0.1, 2)
    folded.fold(plain.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var)
    inputs = torch.randn(2, 5, 9, 11)
    assert norm.eps == NORM_EPSILON
    torch.testing.assert_close(folded(inputs), norm(plain(inputs)), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_map_logits_proposals_and_features_are_the_references(network, pixels):
    reference = load_file(ASSETS / "img2_choice.safetensors") | load_file(ASSETS / "img2_network.safetensors")
    feature_map = network.map_of(pixels)
    logits, deltas = network.rpn_head(feature_map)
    for found, name in ((feature_map[0], "res4"), (logits, "rpn_objectness_map"), (deltas, "rpn_delta_map")):
        assert_near(found, reference[name])
    found = network(pixels)
    torch.testing.assert_close(found.boxes, reference["proposal_boxes"], atol=2e-3, rtol=0)
    assert_near(found.class_logits, reference["class_logits"])
    assert_near(found.attribute_logits, reference["attr_logits"])
    assert_near(found.box_deltas, reference["box_deltas"])
    assert_near(found.features[reference["final36.index"]], reference["final36.features"])


def assert_near(found, expected):
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


def test_features_do_not_depend_on_how_many_regions_go_through_at_a_time(network, pixels, monkeypatch):
    expected = network(pixels)
    monkeypatch.setattr(network_module, "REGIONS_AT_A_TIME", 7)
    torch.testing.assert_close(network(pixels).features, expected.features, atol=1e-4, rtol=1e-5)


def test_features_are_means_of_what_is_not_negative(network, pixels):
    assert network(pixels).features.min() >= 0


def test_without_proposals_there_are_no_detections(network, pixels, monkeypatch):
    monkeypatch.setattr(network, "propose", lambda feature_map, size: torch.zeros(0, 4))
    found = network(pixels)
    assert (found.boxes.shape, found.features.shape) == ((0, 4), (0, 128))
    assert (found.class_logits.shape, found.attribute_logits.shape) == ((0, 25), (0, 11))


def test_in_bfloat16_what_sorts_and_corrects_boxes_stays_in_float32(tmp_path, pixels, network):
    low = load_tiny(write_tiny(tmp_path)).to_precision(torch.bfloat16)
    with torch.inference_mode():
        logits, deltas = low.rpn_head(low.map_of(pixels))
        expected, _ = network.rpn_head(network.map_of(pixels))
    assert (logits.dtype, deltas.dtype) == (torch.float32, torch.float32)
    assert functional.cosine_similarity(logits.flatten(), expected.flatten(), dim=0) > 0.999
    found = low(pixels)
    assert {found.features.dtype, found.class_logits.dtype, found.box_deltas.dtype} == {torch.float32}


def test_a_gpu_convolves_in_float32_and_not_in_tf32(network, pixels, monkeypatch):
    seen, map_of, before = [], network.map_of, torch.backends.cudnn.allow_tf32

    def look(pixels):
        seen.append((torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic))
        return map_of(pixels)

    monkeypatch.setattr(network, "map_of", look)
    network(pixels)
    assert seen == [(False, True)]
    assert torch.backends.cudnn.allow_tf32 == before
