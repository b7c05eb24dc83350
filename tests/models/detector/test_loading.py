"""Detectors by their names."""

from __future__ import annotations

import huggingface_hub
import pytest
from tiny_detectors import picture, write_tiny

from iglue_plugins.models.detector.loading import load_detector
from iglue_plugins.utils.errors import UserError


def test_vg_r101_with_weights_of_a_folder(tmp_path):
    detector = load_detector("vg-r101", weights=str(write_tiny(tmp_path / "tiny")))
    settings = detector.settings
    assert (settings.detector, settings.preset, settings.weights) == ("vg-r101", "iglue-36", "tiny")
    assert detector.feature_size == 128
    (regions,) = detector.extract([detector.prepare(picture().resize((64, 48)))])
    assert regions.features.shape == (36, 128)
    assert regions.boxes.max() <= 64


def test_a_preset_is_named(tmp_path):
    folder = str(write_tiny(tmp_path / "tiny"))
    assert load_detector("vg-r101", "caffe-36", folder, precision="bfloat16").settings.precision == "bfloat16"
    with pytest.raises(UserError, match="--preset: vg-r101 has no preset 'iglue36'; did you mean 'iglue-36'"):
        load_detector("vg-r101", "iglue36", folder)
    with pytest.raises(UserError, match="choose from caffe-10-100, caffe-36, iglue-36, port-10-100"):
        load_detector("vg-r101", "queries", folder)


def test_the_number_of_boxes_is_that_of_the_preset(tmp_path):
    with pytest.raises(UserError, match="--boxes: the presets of vg-r101 say how many boxes there are"):
        load_detector("vg-r101", weights=str(write_tiny(tmp_path / "tiny")), boxes=20)


def test_without_weights_those_of_the_hub_are_looked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="no weights can be loaded from 'unc-nlp/frcnn-vg-finetuned'"):
        load_detector("vg-r101")
