"""Pixel values that are looked up, against those that image processors of transformers make by themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from transformers import CLIPImageProcessorPil, ConvNextImageProcessorPil, SiglipImageProcessorPil, ViTImageProcessorPil

from iglue_plugins.data.processors.pixel_values import needed_side, process_pictures
from iglue_plugins.utils.errors import UserError

SQUARE = {"height": 24, "width": 24}


def photographs() -> list[Image.Image]:
    """Pictures of all levels, larger and smaller than the values, and of the same size as these."""
    draw = np.random.default_rng(0)
    return [
        Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8))
        for height, width in ((24, 24), (90, 60), (33, 200), (7, 9), (256, 256))
    ]


@pytest.mark.parametrize(
    "make",
    [
        lambda: SiglipImageProcessorPil(size=SQUARE),
        lambda: SiglipImageProcessorPil(size=SQUARE, image_mean=[0.1, 0.2, 0.3], image_std=[0.7, 0.8, 0.9]),
        lambda: SiglipImageProcessorPil(size=SQUARE, do_rescale=False),
        lambda: SiglipImageProcessorPil(size=SQUARE, do_normalize=False),
        lambda: SiglipImageProcessorPil(size=SQUARE, do_normalize=False, do_rescale=False),
        lambda: SiglipImageProcessorPil(size=SQUARE, rescale_factor=1 / 127.5, image_mean=1, image_std=1),
        lambda: CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size=SQUARE),
        lambda: CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=SQUARE),  # which fills the margin
        lambda: ViTImageProcessorPil(size=SQUARE, resample=Image.Resampling.NEAREST),
        lambda: SiglipImageProcessorPil(size=SQUARE, do_pad=True, pad_size={"height": 30, "width": 31}),
        lambda: ConvNextImageProcessorPil(size={"shortest_edge": 24}, crop_pct=0.5),  # whose resize is its own
    ],
)
def test_values_are_those_of_the_image_processor(make: Callable[[], Any]) -> None:
    image_processor, pictures = make(), photographs()
    expected = image_processor(images=pictures, return_tensors="pt")["pixel_values"]
    found = process_pictures(image_processor, pictures, ["photographs"])
    assert list(found) == ["pixel_values"]
    assert found["pixel_values"].dtype == expected.dtype
    assert torch.equal(found["pixel_values"], expected)


def test_other_steps_and_outputs_are_left_to_the_image_processor() -> None:
    image_processor = transformers.Siglip2ImageProcessorPil(patch_size=8, max_num_patches=12)
    expected = image_processor(images=photographs(), return_tensors="pt")
    found = process_pictures(image_processor, photographs(), ["photographs"])
    assert {"pixel_values", "pixel_attention_mask", "spatial_shapes"} <= found.keys()
    assert all(torch.equal(value, expected[key]) for key, value in found.items())


def test_pictures_of_different_sizes_that_are_not_cut_are_refused() -> None:
    image_processor = CLIPImageProcessorPil(size={"shortest_edge": 24}, do_center_crop=False)
    with pytest.raises(UserError, match=r"cannot read a picture among a, b, c, \.\.\. \("):
        process_pictures(image_processor, photographs(), list("abcde"))


def test_needed_side_is_twice_the_resized_one() -> None:
    assert needed_side(SiglipImageProcessorPil(size={"height": 24, "width": 36})) == 72
    assert needed_side(CLIPImageProcessorPil(size={"shortest_edge": 24})) == 48
    assert needed_side(CLIPImageProcessorPil(size={"shortest_edge": 24}, do_resize=False)) is None
    assert needed_side(SiglipImageProcessorPil(size={"max_height": 24, "max_width": 24})) is None
    assert needed_side(transformers.Siglip2ImageProcessorPil()) is None
    assert needed_side(ConvNextImageProcessorPil(size={"shortest_edge": 24})) is None
    assert needed_side(lambda images: images) is None
