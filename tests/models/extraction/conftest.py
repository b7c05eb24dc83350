"""Tiny vision models of random weights with image processors, and folders of pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from vision_towers import save_tower


@pytest.fixture
def tower_folder(tmp_path: Path) -> Callable[..., Path]:
    """Saves a tiny model with its image processor, and returns the folder."""

    def save(kind: str, processor: Any = None) -> Path:
        folder = tmp_path / f"tower-{kind}"
        torch.manual_seed(0)
        save_tower(folder, kind, processor)
        return folder

    return save


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Pictures '0' to '6' of smooth colors and different sizes."""
    folder = tmp_path / "photos"
    folder.mkdir()
    sizes = [(120, 80), (80, 120), (100, 100), (120, 80), (200, 90), (64, 64), (33, 47)]
    for number, size in enumerate(sizes):
        noise = np.random.default_rng(number).integers(0, 256, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder
