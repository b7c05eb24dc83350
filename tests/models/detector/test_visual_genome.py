"""The detector as a maker of regions: IGLUE's 36 boxes and the port's 10 to 100, end to end."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny_detectors import ASSETS, load_tiny, picture, tiny_detector, tiny_preset, write_tiny

from iglue_plugins.models.detector.proposals import ProposalSettings
from iglue_plugins.models.detector.weights import ATTRIBUTE_PARTS
from iglue_plugins.models.extraction.base import PictureRegions, UnusablePictureError
from iglue_plugins.utils.errors import UserError

FIELDS = {
    "boxes": ("boxes", "boxes"),
    "classes": ("classes", "obj_ids"),
    "scores": ("scores", "obj_probs"),
    "attributes": ("attr_classes", "attr_ids"),
    "attribute_scores": ("attr_scores", "attr_probs"),
}  # of `PictureRegions`, in IGLUE's and in the port's naming


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return load_tiny(write_tiny(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def reference():
    return load_file(ASSETS / "img2_choice.safetensors") | load_file(ASSETS / "img2_network.safetensors")


def regions_of(detector, image=None) -> PictureRegions:
    (regions,) = detector.extract([detector.prepare(image or picture())])
    assert isinstance(regions, PictureRegions)
    return regions


def check(regions, expected):
    for name, values in expected.items():
        found = getattr(regions, name)
        if values.dtype == torch.int64:
            assert (found == values.numpy()).all(), name
        else:
            np.testing.assert_allclose(found, values.numpy(), atol=0.02 if name == "boxes" else 1e-5, err_msg=name)
            assert found.dtype == np.float32


def test_iglues_36_boxes_are_the_references(network, reference):
    regions = regions_of(tiny_detector(network, tiny_preset("iglue-36")))
    check(regions, {name: reference[f"final36.{iglue}"] for name, (iglue, _) in FIELDS.items()})
    features = reference["final36.features"].numpy()
    assert abs(regions.features - features).max() < 1e-4 * features.max()


def test_the_ports_10_to_100_boxes_are_the_references(network, reference):
    regions = regions_of(tiny_detector(network, tiny_preset("port-10-100")))
    check(regions, {name: reference[f"port.10_100.{port}"] for name, (_, port) in FIELDS.items()})
    features = reference["port.10_100.roi_features_every_4th"].numpy()
    assert abs(regions.features[:, ::4] - features).max() < 1e-4 * features.max()


@pytest.mark.parametrize("preset, least, most", [("caffe-36", 36, 36), ("caffe-10-100", 10, 100)])
def test_caffes_boxes_are_proposals_with_their_features(network, preset, least, most):
    detector = tiny_detector(network, tiny_preset(preset))
    prepared = detector.prepare(picture())
    (regions,) = detector.extract([prepared])
    assert least <= len(regions.boxes) <= most
    found = network(prepared.pixels)
    rows = [int((found.features == torch.from_numpy(row)).all(1).nonzero()[0, 0]) for row in regions.features]
    np.testing.assert_allclose(regions.boxes, found.boxes[rows].numpy() / (320 / 260), rtol=1e-5)


def test_regions_depend_on_the_picture_alone_whatever_its_batch(network):
    detector = tiny_detector(network, tiny_preset("iglue-36"))
    first, other = detector.prepare(picture()), detector.prepare(picture().transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    (alone,), together = detector.extract([first]), detector.extract([other, first, first])
    for regions in together[1:]:
        for name in ("features", *FIELDS):
            assert (getattr(alone, name) == getattr(regions, name)).all(), name
    assert (together[0].features != alone.features).any()


def test_a_picture_that_a_preset_leaves_out_says_why_and_leaves_the_others(network):
    network = load_with(network, proposals=20)
    detector = tiny_detector(network, tiny_preset("iglue-36"))
    assert [str(found) for found in detector.extract([detector.prepare(picture())])] == [
        "too few boxes at any threshold"
    ]
    network.settings = ProposalSettings(count=150)
    assert isinstance(detector.extract([detector.prepare(picture())])[0], PictureRegions)


def load_with(network, proposals):
    network.settings = ProposalSettings(count=proposals)
    return network


def test_a_picture_that_is_too_small_is_left_out(network):
    with pytest.raises(UnusablePictureError, match="fewer than 16 pixels"):
        tiny_detector(network, tiny_preset("iglue-36")).prepare(Image.new("RGB", (10, 400)))


def test_weights_without_attributes_make_regions_without_them(tmp_path):
    weights = load_file(ASSETS / "tiny_weights.safetensors")
    weights = {name: value for name, value in weights.items() if not any(part in name for part in ATTRIBUTE_PARTS)}
    detector = tiny_detector(load_tiny(write_tiny(tmp_path, weights)), tiny_preset("iglue-36"))
    regions = regions_of(detector)
    assert regions.attributes is None and regions.attribute_scores is None
    assert len(regions.classes) == 36


def test_the_settings_say_all_that_determines_the_regions(network):
    iglue, port = (tiny_detector(network, tiny_preset(name)).settings for name in ("iglue-36", "port-10-100"))
    assert (iglue.detector, iglue.preset, iglue.weights, iglue.precision) == ("vg-r101", "iglue-36", "tiny", "float32")
    assert iglue.options["choice"]["thresholds"] == [0.5, 0.6, 0.7, 0.7999999999999999, 0.8999999999999999]
    assert iglue.options["size"]["short_side"] == 192 and iglue.options["size"]["resizing"] == "pillow"
    assert iglue.options["proposals"]["count"] == 150
    assert port.options != iglue.options
    assert type(iglue).model_validate_json(iglue.model_dump_json()) == iglue


def test_names_are_given_to_the_numbers_of_visual_genome_alone(network):
    detector = tiny_detector(network, tiny_preset("iglue-36"))
    assert detector.class_names == () and detector.attribute_names == ()
    assert detector.feature_size == 128


def test_a_gpu_without_memory_is_a_sentence(network, monkeypatch):
    detector = tiny_detector(network, tiny_preset("iglue-36"))
    prepared = detector.prepare(picture())

    def fail(pixels):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(network, "map_of", fail)
    with pytest.raises(UserError, match="no memory for the detector with a picture of 320 x 98 pixels"):
        detector.extract([prepared])
