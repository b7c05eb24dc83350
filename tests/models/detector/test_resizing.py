"""Pictures as the detector reads them, against what Pillow, OpenCV and the reference make of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny_detectors import ASSETS, picture
from torch import Tensor

from iglue_plugins.models.detector.presets import PRESETS, ImageSize
from iglue_plugins.models.detector.resizing import PIXEL_MEANS, read_pixels, resized_size
from iglue_plugins.models.extraction.base import UnusablePictureError

SIZES = json.loads((ASSETS / "resized_sizes.json").read_text())
MEANS = torch.tensor(PIXEL_MEANS)[:, None, None]


def from_rows(rows: np.ndarray) -> Tensor:
    return torch.from_numpy(rows).permute(2, 0, 1).float()


@pytest.mark.parametrize("name", [name for name in SIZES if not name.startswith("feature_map")])
def test_sizes_are_the_references(name):
    limits = ImageSize(*map(int, name.split(" ")[0].split("_")[-2:]), "opencv" if "caffe" in name else "pillow")
    found = [list(resized_size((row[0], row[1]), limits)) for row in SIZES[name]]
    assert found == [row[2:4] for row in SIZES[name]]


def test_pillows_pixels_are_the_references():
    pixels = read_pixels(picture(), ImageSize(192, 320, "pillow"))
    rows = load_file(ASSETS / "img2_network.safetensors")["resized_bgr_every_21st_row"]
    assert torch.equal(pixels[:, ::21], rows.permute(2, 0, 1).float() - MEANS)
    assert pixels.shape == (3, 98, 320)


@pytest.mark.parametrize("name", ["enlarged", "shrunk"])
def test_opencvs_pixels_are_met_without_opencv(name):
    """Its sampling differs from that of PyTorch by the rounded sides where the scale is no quotient of them."""
    with np.load(ASSETS / "opencv_resized.npz") as stored:
        original, expected = stored[name], stored[f"{name}.resized"]
    pixels = read_pixels(Image.fromarray(original), ImageSize(18, 24, "opencv"))
    torch.testing.assert_close(pixels, from_rows(expected), atol=1e-4, rtol=0)


def test_the_ports_pixels_are_not_rounded():
    pixels = read_pixels(picture(), ImageSize(192, 320, "interpolate")) + MEANS
    assert (pixels - pixels.round()).abs().max() > 0.1
    assert pixels.shape == (3, 98, 320)


def test_a_picture_of_one_color_stays_one_whatever_resizes_it():
    red = Image.new("RGB", (300, 200), (200, 20, 10))
    expected = torch.tensor([10.0, 20.0, 200.0])[:, None, None] - MEANS
    for preset in PRESETS.values():
        torch.testing.assert_close(
            read_pixels(red, preset.size), expected.expand(3, *resized_size((200, 300), preset.size))
        )


@pytest.mark.parametrize("size", [(1, 1000), (1000, 1), (15, 15), (40, 3000)])
@pytest.mark.parametrize("resizing", ["pillow", "opencv", "interpolate"])
def test_a_picture_in_which_the_network_sees_nothing_is_left_out(size, resizing):
    limits = ImageSize(192, 320, resizing)
    with pytest.raises(UnusablePictureError, match="^a side of fewer than 16 pixels, as it is or resized$"):
        read_pixels(Image.new("RGB", size), limits)
