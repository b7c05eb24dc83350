"""What a text names, found by the concepts' own names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from iglue_plugins.mini import world


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples without region features, which take most of the time."""
    nothing = np.zeros((1, world.FEATURE_SIZE), dtype=np.float32), np.zeros((1, 4), dtype=np.float32)
    monkeypatch.setattr(world, "region_features", lambda scene: nothing)


@pytest.fixture
def named() -> Callable[[str, str], set[int]]:
    """The concepts whose names stand in a text (no name contains another, says test_world)."""

    def find(text: str, language: str) -> set[int]:
        return {i for i, concept in enumerate(world.vocabulary().concepts) if concept.names[language] in text}

    return find
