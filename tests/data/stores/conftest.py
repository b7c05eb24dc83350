"""Stores of images given number by number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from iglue_plugins.data.conversion.converter import convert

Images = dict[str, tuple[np.ndarray, np.ndarray, int, int]]  # features (n, D), boxes (n, 4), width, height


@pytest.fixture(scope="session")
def random_images() -> Callable[..., Images]:
    """Images of 1 to 6 boxes, or of `boxes` each, of different sizes."""

    def make(count: int, prefix: str = "", feature_size: int = 5, boxes: int | None = None) -> Images:
        rng = np.random.default_rng(count)
        images = {}
        for number in range(count):
            n = boxes or 1 + number * 5 % 6
            width, height = rng.integers(100, 600, size=2).tolist()
            corners = np.sort(rng.random((n, 2, 2), dtype=np.float32), axis=1).reshape(n, 4)
            features = rng.standard_normal((n, feature_size), dtype=np.float32)
            images[f"{prefix}{number}"] = (
                features,
                corners * np.asarray([width, height] * 2, dtype=np.float32),
                width,
                height,
            )
        return images

    return make


@pytest.fixture(scope="session")
def write_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a store of images in a folder, by way of .npy files."""

    def write(folder: Path, images: Images, dtype: str = "float32") -> Path:
        source = tmp_path_factory.mktemp("npy")
        for name, (features, boxes, width, height) in images.items():
            np.save(source / f"{name}.npy", features)
            np.save(source / f"{name}_info.npy", {"bbox": boxes, "image_width": width, "image_height": height})
        convert([source], folder, dtype=dtype)
        return folder

    return write
