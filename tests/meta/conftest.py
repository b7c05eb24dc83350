"""Random vectors and matrices in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor


@pytest.fixture
def draw() -> Callable[..., Tensor]:
    """Draws a tensor of a shape, the same ones in each test."""
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
