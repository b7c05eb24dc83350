"""Pictures of a folder as pixel values: large ones are read smaller than they are stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import SiglipImageProcessorPil

from iglue_plugins.data.pictures.folder import PictureFolder
from iglue_plugins.data.pictures.reading import read_picture
from iglue_plugins.data.processors.pixels import PixelImages

SIDE = 32
LEVEL = 2 / 255  # of a color, in pixel values from -1 to 1


def save_photograph(path: Path, width: int, height: int) -> None:
    """Save a JPEG of colored patches with noise."""
    draw = np.random.default_rng(0)
    patches = Image.fromarray(draw.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    pixels = np.asarray(patches.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
    noisy = (pixels + draw.normal(0, 8, pixels.shape)).clip(0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(path, quality=90)


def test_a_large_jpeg_is_reduced_before_it_is_resized(tmp_path: Path) -> None:
    save_photograph(tmp_path / "large.jpg", 2 * SIDE * 5, 2 * SIDE * 4)
    processor = SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    images = PixelImages(PictureFolder(tmp_path), processor, "task")
    found = images.inputs(images.index(["large"]))["pixel_values"]
    whole, reduced = (read_picture(tmp_path / "large.jpg", least_side) for least_side in (None, 2 * SIDE))
    assert (whole.size, reduced.size) == ((320, 256), (80, 64))
    assert torch.equal(found, processor(images=[reduced], return_tensors="pt")["pixel_values"])
    difference = (found - processor(images=[whole], return_tensors="pt")["pixel_values"]).abs() / LEVEL
    assert 0 < difference.mean() < 0.5
    assert difference.max() < 5


def test_a_picture_of_less_than_four_times_the_pixels_is_read_as_it_is(tmp_path: Path) -> None:
    save_photograph(tmp_path / "a.jpg", 4 * SIDE - 1, 6 * SIDE)
    processor = SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    images = PixelImages(PictureFolder(tmp_path), processor, "task")
    whole = processor(images=[read_picture(tmp_path / "a.jpg")], return_tensors="pt")["pixel_values"]
    assert torch.equal(images.inputs(images.index(["a"]))["pixel_values"], whole)


def test_descriptors_of_large_pictures_are_those_of_the_whole(tmp_path: Path) -> None:
    save_photograph(tmp_path / "a.jpg", 640, 512)
    images = PixelImages(PictureFolder(tmp_path), SiglipImageProcessorPil(), "task")
    tiny = read_picture(tmp_path / "a.jpg").resize((8, 8), Image.Resampling.BOX)
    expected = np.asarray(tiny, dtype=np.float32).ravel()
    expected = (expected - expected.mean()) / np.linalg.norm(expected - expected.mean())
    found = images.descriptors(images.index(["a"]))[0].numpy()
    assert abs(np.dot(found, expected) - 1) < 1e-4
