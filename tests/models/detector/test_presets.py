"""Presets: what they are, and the factor of Caffe's scripts."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from iglue_plugins.models.detector.presets import (
    PRESETS,
    RISING_THRESHOLDS,
    ImageSize,
    Preset,
    ProposedBoxes,
    caffe_scale,
)


def test_the_thresholds_are_those_of_the_script() -> None:
    assert RISING_THRESHOLDS == tuple(np.arange(0.5, 1.0, 0.1).tolist())


@pytest.mark.parametrize(
    "size, scale",
    [
        ((480, 640), 1.25),
        ((640, 480), 1.25),
        ((500, 333), 1.8018018018018018),
        ((1200, 1200), 0.5),
        ((1, 1000), 1.0),
        ((77, 1001), 0.999000999000999),  # the long side decides
        ((801, 1334), 0.7490636704119851),
        ((901, 1502), 600 / 901),  # the long side comes to 1000.2, which is rounded
        ((450, 751), 1.3315579227696406),
    ],
)
def test_caffes_scripts_have_one_factor_for_both_sides(size: tuple[int, int], scale: float) -> None:
    assert caffe_scale(size, PRESETS["caffe-36"].size) == scale


def test_a_preset_without_boxes_is_refused() -> None:
    with pytest.raises(ValueError, match="preset mine: 0 to 36 boxes"):
        Preset("mine", ImageSize(600, 1000, "opencv"), ProposedBoxes(0.3, 0.2, 0, 36))


def test_presets_are_known_without_torch() -> None:
    code = "import sys, iglue_plugins.models.detector.presets; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
