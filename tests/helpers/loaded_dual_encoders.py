"""Tiny dual encoders, loaded, with texts and pictures for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from transformers import PreTrainedModel

from iglue_plugins.data.inputs import Inputs
from iglue_plugins.data.processors.pixels import PixelImages, PixelProcessor
from iglue_plugins.models.dual_encoder.model import DualEncoder
from iglue_plugins.models.dual_encoder.plugin import DualEncoderPlugin

TEXTS = ["two dogs", "a cat by the sea", "ein hund", "two dogs"]


class Drawings:
    """Pictures of random pixels, of a size that depends on the name."""

    def has(self, image_id: str) -> bool:
        return image_id.isdecimal()

    def picture(self, image_id: str, least_side: int | None = None) -> Image.Image:
        number = int(image_id)
        pixels = np.random.default_rng(number).integers(0, 255, (20 + 9 * number, 40, 3), dtype=np.uint8)
        return Image.fromarray(pixels)


class Tiny(NamedTuple):
    name: str
    folder: Path
    reference: PreTrainedModel


class Loaded(NamedTuple):
    model: DualEncoder
    processor: PixelProcessor

    def text(self, texts: list[str]) -> Inputs:
        return self.processor.prepare_texts(texts, 80).inputs(np.arange(len(texts)))

    def image(self, ids: list[str]) -> Inputs:
        images = PixelImages(Drawings(), self.processor.image_processor, "drawings")
        return images.inputs(images.index(ids))

    def inputs(self, texts: list[str] = TEXTS, ids: tuple[str, ...] = ("0", "1", "2", "1")) -> Inputs:
        return self.processor.collate(self.text(texts), self.image(list(ids)))


def load(checkpoint: Path, **settings: Any) -> Loaded:
    return Loaded(*DualEncoderPlugin(DualEncoderPlugin.Settings(checkpoint=str(checkpoint), **settings)).load())
