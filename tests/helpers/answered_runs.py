"""Parts of runs that answer questions: recipes' tiny models, and stores of regions of pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tiny_dual_encoders as tiny
from fake_detector import FakeDetector
from torch.nn import functional
from transformers import AutoTokenizer
from typing_extensions import override

from iglue_plugins.data.stores.format import DetectionSettings, DTypeName, ExtractionSettings
from iglue_plugins.mini import ASSETS
from iglue_plugins.mini.world import FEATURE_SIZE
from iglue_plugins.models.extraction.base import (
    PictureRegions,
    PreparedPicture,
    RegionExtractor,
    UnusablePictureError,
)
from iglue_plugins.models.extraction.pictures import FolderPictures
from iglue_plugins.models.extraction.pipeline import StoreOptions, make_store

SIZES = {"train": 12, "auxiliary": 8, "dev": 4, "test": 9}
TASKS = ("xvnli", "xgqa", "marvl", "xflickrco")
UNITERS = ("xuniter", "uc2", "muniter")
DETECTION = DetectionSettings(
    detector="colors",
    preset="four",
    weights="some/weights",
    revision="c" * 40,
    precision="float32",
    options={"a": [1]},
)


def model_section(name: str, folder: Path, feature_size: int = FEATURE_SIZE) -> dict[str, Any]:
    """Make the section `model` of a recipe, of large random weights, which give varied answers.

    Args:
        name: One of UNITERS, or of the dual encoders of `tiny_dual_encoders`.
        folder: Where a checkpoint may be put.
        feature_size: The number of features of a region.
    """
    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "tokenizer")
    if name not in UNITERS:
        if not folder.is_dir():
            tiny.save_tiny(name, folder, tokenizer if name != "siglip2" else None)
        return {"name": "dual_encoder", "checkpoint": str(folder)}
    config = {
        "vocab_size": len(tokenizer),
        "region_feature_size": feature_size,
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


class ColorDetector(FakeDetector):
    """Makes features by the mean colors of the quarters of a picture."""

    def __init__(self, settings: ExtractionSettings = DETECTION, size: int = FEATURE_SIZE) -> None:
        super().__init__(size)
        self.settings = settings  # type: ignore[assignment]  # of a grid too

    @override
    def _regions(self, picture: PreparedPicture, shared: float) -> PictureRegions | UnusablePictureError:
        found = super()._regions(picture, shared)
        if isinstance(found, UnusablePictureError):
            return found
        colors = functional.adaptive_avg_pool2d(picture.pixels, 2).flatten(1).T
        weights = np.random.default_rng(0).standard_normal((3, self.feature_size), dtype=np.float32)
        return replace(found, features=3 * colors.numpy() @ weights)


def write_store(folder: Path, pictures: Path, extractor: RegionExtractor, dtype: DTypeName = "float32") -> None:
    """Make a store of the regions of a folder's pictures."""
    make_store(FolderPictures(pictures), folder, extractor, StoreOptions(device="cpu", dtype=dtype))
