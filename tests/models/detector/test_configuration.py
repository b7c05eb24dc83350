"""The sizes of the network, read from configuration files of others."""

from __future__ import annotations

import json

import pytest
import yaml
from tiny_detectors import ASSETS

from iglue_plugins.models.detector.configuration import DetectorConfig, read_config
from iglue_plugins.utils.errors import UserError

TINY = json.loads((ASSETS / "tiny_config.yaml").read_text())


def write(path, content):
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def test_the_sizes_of_the_tiny_detector():
    config = read_config(ASSETS / "tiny_config.yaml")
    assert config == DetectorConfig(50, 8, 16, 4, 24, 24, 10, (24.0, 48.0, 96.0, 192.0), (0.5, 1.0, 2.0))
    assert (config.anchors, config.map_channels, config.features) == (12, 64, 128)


def test_what_a_file_lacks_is_as_published(tmp_path):
    assert read_config(write(tmp_path / "config.yaml", {"INPUT": {"FORMAT": "BGR"}})) == DetectorConfig()


def test_keys_in_small_letters_are_read(tmp_path):
    small = {section.lower(): value for section, value in TINY.items() if not isinstance(value, dict)} | {
        section.lower(): {name.lower(): value for name, value in values.items()}
        for section, values in TINY.items()
        if isinstance(values, dict)
    }
    assert read_config(write(tmp_path / "config.yaml", small)) == read_config(ASSETS / "tiny_config.yaml")


@pytest.mark.parametrize(
    "section, name, value, message",
    [
        ("RESNETS", "DEPTH", 34, "RESNETS.DEPTH is 34, expected one of 50, 101, 152"),
        ("RESNETS", "STEM_OUT_CHANNELS", "many", "RESNETS.STEM_OUT_CHANNELS is 'many', expected a size such as 64"),
        ("ROI_HEADS", "NUM_CLASSES", 0, "ROI_HEADS.NUM_CLASSES is 0, expected a size such as 1600"),
        ("ROI_HEADS", "NUM_CLASSES", 10**30, "expected a size such as 1600"),
        ("ANCHOR_GENERATOR", "SIZES", [[32], [64]], r"ANCHOR_GENERATOR.SIZES is \[\[32\], \[64\]\], expected numbers"),
        ("ANCHOR_GENERATOR", "ASPECT_RATIOS", [[]], "ANCHOR_GENERATOR.ASPECT_RATIOS"),
        ("MODEL", "MAX_POOL", False, "MODEL.MAX_POOL is False, where vg-r101 needs True"),
        ("ROI_BOX_HEAD", "RES5HALVE", True, "ROI_BOX_HEAD.RES5HALVE is True, where vg-r101 needs False"),
    ],
)
def test_a_value_that_the_network_cannot_have_is_named(tmp_path, section, name, value, message):
    path = write(tmp_path / "config.yaml", {**TINY, section: {**TINY[section], name: value}})
    with pytest.raises(UserError, match=message) as raised:
        read_config(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("content", ["[1, 2", "- 1", "!!python/object/apply:os.system [touch x]", ""])
def test_a_file_that_is_no_configuration(tmp_path, content):
    with pytest.raises(UserError, match="config.yaml: "):
        read_config(write(tmp_path / "config.yaml", content))


def test_a_detector_without_attributes(tmp_path):
    content = {**TINY, "ROI_BOX_HEAD": {"ATTR": False}}
    assert read_config(write(tmp_path / "config.yaml", content)).attributes == 0
