"""Tiny detectors in folders, and pictures for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_transformers_detectors import SaveDetector, save_detector

SIZES = [(120, 80), (80, 120), (120, 80), (100, 100)]


@pytest.fixture
def detector_folder(tmp_path: Path) -> SaveDetector:
    """Saves a tiny detector with its image processor, and returns the folder."""

    def save(kind: str, processor: Any = None, **changes: Any) -> Path:
        folder = tmp_path / f"detector-{kind}"
        save_detector(folder, kind, processor, **changes)
        return folder

    return save


@pytest.fixture(scope="session")
def saved_detector(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns the folder of a tiny detector that all tests share."""
    folder = tmp_path_factory.mktemp("detectors")

    def find(kind: str) -> Path:
        if not (folder / kind).exists():
            save_detector(folder / kind, kind)
        return folder / kind

    return find


@pytest.fixture(scope="session")
def photos() -> list[Image.Image]:
    """Pictures of smooth colors, two of them of one size."""
    noise = np.random.default_rng(0).integers(0, 256, (len(SIZES), 6, 7, 3), dtype=np.uint8)
    return [
        Image.fromarray(colors).resize(size, Image.Resampling.BICUBIC)
        for colors, size in zip(noise, SIZES, strict=True)
    ]
