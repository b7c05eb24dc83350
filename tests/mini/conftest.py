"""Fixtures that speed up the making of examples, and that read what a text names."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from iglue_plugins.mini import world


@pytest.fixture
def named() -> Callable[[str, str], set[int]]:
    """Returns a function that finds the concepts whose names stand in a text; no name contains another."""

    def find(text: str, language: str) -> set[int]:
        return {i for i, concept in enumerate(world.lexicon().concepts) if concept.names[language] in text}

    return find
