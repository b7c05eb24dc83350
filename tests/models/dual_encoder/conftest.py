"""Tiny dual encoders of each architecture, made once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import tiny_dual_encoders as tiny
import torch
from loaded_dual_encoders import Loaded, Tiny, load


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Tiny]:
    made: dict[str, Tiny] = {}

    def make(name: str) -> Tiny:
        if name not in made:
            folder = tmp_path_factory.mktemp("dual_encoders")
            made[name] = Tiny(name, folder, tiny.save_tiny(name, folder))
        return made[name]

    return make


@pytest.fixture(params=tiny.MODELS)
def encoder(request: pytest.FixtureRequest, make: Callable[[str], Tiny]) -> Tiny:
    """Each architecture in turn."""
    return make(request.param)


@pytest.fixture
def loaded(encoder: Tiny) -> Loaded:
    return load(encoder.folder)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)
