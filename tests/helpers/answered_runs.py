"""Finished runs of tiny models on the mini tasks with few examples, and the extractor of regions of their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tiny_dual_encoders as tiny
import torch
from PIL import Image
from transformers import AutoTokenizer
from typing_extensions import override

from iglue_plugins.data.conversion.destination import ConversionSettings, locked_destination
from iglue_plugins.data.conversion.images import make_image
from iglue_plugins.data.conversion.store_writer import StoreWriter
from iglue_plugins.data.stores.format import DetectionSettings, DTypeName, ExtractionSettings, SourceIdentity
from iglue_plugins.mini import ASSETS
from iglue_plugins.mini.world import FEATURE_SIZE
from iglue_plugins.models.extraction.base import (
    PictureRegions,
    PreparedPicture,
    RegionExtractor,
    UnusablePictureError,
)

SIZES = {"train": 12, "auxiliary": 8, "dev": 4, "test": 9}
TASKS = ("xvnli", "xgqa", "marvl", "xflickrco")
UNITERS = ("xuniter", "uc2", "muniter")
DETECTION = DetectionSettings(
    detector="quarters", preset="four", weights="some/weights", revision="c" * 40, precision="float32", options={}
)


def model_section(name: str, folder: Path) -> dict[str, Any]:
    """Make the section `model` of a recipe, of large random weights, which give varied answers.

    Args:
        name: One of UNITERS, or of the dual encoders of `tiny_dual_encoders`.
        folder: Where a checkpoint may be put.
    """
    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "tokenizer")
    if name not in UNITERS:
        if not folder.is_dir():
            tiny.save_tiny(name, folder, tokenizer if name != "siglip2" else None)
        return {"name": "dual_encoder", "checkpoint": str(folder)}
    config = {
        "vocab_size": len(tokenizer),
        "region_feature_size": FEATURE_SIZE,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 32,
        "max_position_embeddings": 90,
        "pooler_size": 32,
        "classifier_hidden_size": 32,
        "contrastive_size": 8,
        "initializer_range": 0.5,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return {"name": name, "config": config, "tokenizer": str(ASSETS / "tokenizer")}


class Quarters(RegionExtractor):
    """Takes the quarters of a picture for its regions, and for their features what is drawn by their mean colors."""

    def __init__(self, settings: ExtractionSettings = DETECTION, feature_size: int = FEATURE_SIZE) -> None:
        self.settings = settings
        self.feature_size = feature_size

    @override
    def prepare(self, picture: Image.Image) -> PreparedPicture:
        if min(picture.size) < 2:
            raise UnusablePictureError("a side of fewer than 2 pixels")
        pixels = np.asarray(picture, dtype=np.float32).transpose(2, 0, 1)
        return PreparedPicture(torch.from_numpy(np.ascontiguousarray(pixels)), picture.size)

    @override
    def extract(self, pictures: Sequence[PreparedPicture]) -> list[PictureRegions | UnusablePictureError]:
        return [self._extract(picture) for picture in pictures]

    def _extract(self, picture: PreparedPicture) -> PictureRegions | UnusablePictureError:
        if not picture.pixels.any():
            return UnusablePictureError("no boxes")
        width, height = picture.size
        colors = torch.nn.functional.adaptive_avg_pool2d(picture.pixels, 2).flatten(1).T / 255
        weights = np.random.default_rng(0).standard_normal((3, self.feature_size), dtype=np.float32)
        x, y = width / 2, height / 2
        boxes = [[left, top, left + x, top + y] for top in (0, y) for left in (0, x)]
        return PictureRegions(3 * colors.numpy() @ weights, np.asarray(boxes, dtype=np.float32))


def write_store(
    folder: Path, pictures: Sequence[Path], extractor: RegionExtractor, dtype: DTypeName = "float32"
) -> None:
    """Make a store of the regions of pictures."""
    sources = (SourceIdentity(name="pictures", size=len(pictures)),)
    settings = ConversionSettings(dtype=dtype, sources=sources, extraction=extractor.settings)
    with locked_destination(folder, settings), StoreWriter(folder, settings) as writer:
        for path in pictures:
            with Image.open(path) as picture:
                (found,) = extractor.extract([extractor.prepare(picture)])
                width, height = picture.size
            assert isinstance(found, PictureRegions)
            fields = {"features": found.features, "boxes": found.boxes, "img_w": width, "img_h": height}
            writer.add(0, make_image(path.name, fields, str(path)))
        writer.finish()
