"""Numbers of the reference detector; the README beside them says what they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch import Tensor

ASSETS = Path(__file__).parents[2] / "assets" / "detector"


@pytest.fixture(scope="session")
def geometry() -> dict[str, Tensor]:
    return load_file(ASSETS / "geometry.safetensors")


@pytest.fixture(scope="session")
def img2() -> dict[str, Tensor]:
    return load_file(ASSETS / "img2_choice.safetensors")
