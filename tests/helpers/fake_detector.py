"""A detector without a network: its regions are quarters of the picture, and their features are mean colors."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from typing_extensions import override

from iglue_plugins.data.stores.format import DetectionSettings
from iglue_plugins.models.extraction.base import (
    PictureRegions,
    PreparedPicture,
    RegionExtractor,
    UnusablePictureError,
)
from iglue_plugins.models.extraction.pictures import FolderPictures
from iglue_plugins.models.extraction.pipeline import StoreOptions, make_store

TOO_SMALL, NOTHING_THERE = "a side of fewer than 20 pixels", "too few boxes"


class FakeDetector(RegionExtractor):
    """Makes four regions of a picture; of a black one it makes none.

    Args:
        size: The number of features, of which all are equal.
        attributes: Whether it knows attributes.
        by_batch: Whether features depend on the other pictures of a batch, as the last bits of a real model's do.
        seconds: How long a picture takes.
    """

    class_names = ("north", "east", "south", "west")

    def __init__(
        self, size: int = 8, attributes: bool = True, by_batch: bool = False, seconds: float = 0, preset: str = "four"
    ) -> None:
        self.feature_size = size
        self.attribute_names = ("dark", "bright") if attributes else ()
        self.by_batch, self.seconds = by_batch, seconds
        self.settings = DetectionSettings(
            detector="fake",
            preset=preset,
            weights="none",
            revision="0" * 64,
            precision="float32",
            options={"size": size, "sides": (2, 2)},
        )

    @override
    def prepare(self, picture: Image.Image) -> PreparedPicture:
        if min(picture.size) < 20:
            raise UnusablePictureError(TOO_SMALL)
        values = np.asarray(picture, dtype=np.float32) / 255
        return PreparedPicture(torch.from_numpy(values).permute(2, 0, 1), picture.size)

    @override
    def extract(self, pictures: Sequence[PreparedPicture]) -> list[PictureRegions | UnusablePictureError]:
        time.sleep(self.seconds * len(pictures))
        shared = float(sum(picture.pixels.mean() for picture in pictures)) if self.by_batch else 0.0
        return [self._regions(picture, shared) for picture in pictures]

    def _regions(self, picture: PreparedPicture, shared: float) -> PictureRegions | UnusablePictureError:
        if not picture.pixels.any():
            return UnusablePictureError(NOTHING_THERE)
        width, height = picture.size
        corners = [(0, 0), (width / 2, 0), (0, height / 2), (width / 2, height / 2)]
        boxes = np.asarray([[x, y, x + width / 2, y + height / 2] for x, y in corners], dtype=np.float32)
        means = np.asarray(
            [picture.pixels[:, int(y) : int(y2), int(x) : int(x2)].mean() for x, y, x2, y2 in boxes.tolist()],
            dtype=np.float32,
        )
        features = np.repeat((means + shared)[:, None], self.feature_size, 1)
        has_attributes = bool(self.attribute_names)
        return PictureRegions(
            features,
            boxes,
            np.arange(4),
            means,
            (means > 0.5).astype(np.int64) if has_attributes else None,
            (means / 2 + 0.25).astype(np.float32) if has_attributes else None,
        )


def save_photos(folder: Path, count: int = 3) -> Path:
    """Save pictures '0', '1' and so on of several sizes."""
    folder.mkdir(parents=True)
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (4, 5, 3), dtype=np.uint8)
        size = (40 + 10 * number, 60 - 5 * number)
        Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


def make_detected_store(parent: Path, dtype: str = "float32", **options: Any) -> Path:
    """Make a store of three pictures by a `FakeDetector`: <parent>/store, of <parent>/photos."""
    photos = save_photos(parent / "photos")
    make_store(
        FolderPictures(photos),
        parent / "store",
        FakeDetector(**options),
        StoreOptions(device="cpu", precision="float32", dtype=dtype),
    )
    return parent / "store"
