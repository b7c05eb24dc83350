"""What part of a picture an image processor keeps, by the rules of each against what is measured."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import transformers
from PIL import Image
from vision_towers import make_processor

from iglue_plugins.models.extraction.views import View, ViewFinder
from iglue_plugins.utils.errors import UserError

SIZES = [(500, 375), (375, 500), (333, 500), (64, 64), (40, 30), (1024, 683), (4000, 3000), (900, 60), (16, 20)]


def finder(processor: object) -> ViewFinder:
    return ViewFinder(lambda picture: processor(images=picture, return_tensors="np")["pixel_values"][0])


def centre(width: int, height: int, shorter: int, crop: int) -> tuple[float, ...]:
    """The centre that is left where the shorter side is made `shorter` and `crop` pixels are cut out."""
    spans = []
    for side in (width, height):
        resized = int(shorter * side / min(width, height))
        start = (resized - crop) // 2
        spans.append((start * side / resized, (start + crop) * side / resized))
    (left, right), (top, bottom) = spans
    return left, top, right, bottom


def corners(view: View) -> tuple[float, ...]:
    return view.left, view.top, view.right, view.bottom


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["vit", "siglip"])
def test_a_processor_that_resizes_shows_all(kind: str, size: tuple[int, int]) -> None:
    assert corners(finder(make_processor(kind)).view(*size)) == (0, 0, *size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("kind", "shorter"), [("clip", 72), ("dinov2", 72), ("convnext", 73)])
def test_a_processor_that_cuts_out_the_centre(kind: str, shorter: int, size: tuple[int, int]) -> None:
    found = corners(finder(make_processor(kind)).view(*size))
    pixel = min(size) / shorter  # an output pixel
    np.testing.assert_allclose(found, centre(*size, shorter, 64), atol=1.01 * pixel)


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (1024, 683)])
def test_views_are_exact_for_photographs(size: tuple[int, int]) -> None:
    processor = transformers.CLIPImageProcessorPil()
    np.testing.assert_allclose(corners(finder(processor).view(*size)), centre(*size, 224, 224), rtol=1e-9)


def test_a_resize_that_keeps_the_shape_shows_all() -> None:
    processor = transformers.BitImageProcessorPil(size={"shortest_edge": 64}, do_center_crop=False)
    assert corners(finder(processor).view(300, 200)) == (0, 0, 300, 200)


def test_padding_is_beyond_the_picture() -> None:
    processor = transformers.CLIPImageProcessorPil(do_resize=False, crop_size={"height": 60, "width": 80})
    assert corners(finder(processor).view(40, 100)) == (-20, 20, 60, 80)


def test_colors_are_read_through_any_normalization() -> None:
    processor = transformers.ViTImageProcessorPil(
        size={"height": 48, "width": 32}, image_mean=[0.1, 0.7, 0.3], image_std=[3.0, 0.1, 0.9], rescale_factor=1 / 50
    )
    assert corners(finder(processor).view(100, 70)) == (0, 0, 100, 70)


def test_each_size_is_measured_once() -> None:
    calls = []

    def process(picture: Image.Image) -> np.ndarray:
        calls.append(picture.size)
        return np.asarray(picture.resize((32, 32)), dtype=np.float32).transpose(2, 0, 1)

    found = ViewFinder(process)
    for _ in range(3):
        found.view(90, 60)
        found.view(60, 90)
    assert calls == [(64, 64), (64, 64), (90, 60), (60, 90)]


def swirl(picture: Image.Image) -> np.ndarray:
    values = np.asarray(picture.resize((64, 64)), dtype=np.float32).transpose(2, 0, 1)
    return values[:, :, np.random.default_rng(0).permutation(64)]


@pytest.mark.parametrize(
    ("process", "message"),
    [
        (swirl, "does more than resize, cut and pad"),
        (lambda picture: np.asarray(picture.resize((64, 64)).transpose(0), np.float32).transpose(2, 0, 1), "does more"),
        (lambda picture: np.zeros((3, 64, 64), np.float32), "the same for black and white"),
    ],
)
def test_other_processors_are_refused(process: Callable, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ViewFinder(process).view(100, 80)
