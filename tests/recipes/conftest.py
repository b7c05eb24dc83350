"""Recipe files in an empty folder, and the problems that loading one reports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from iglue_plugins.recipes.problems import RecipeError
from iglue_plugins.recipes.recipe import load_recipe


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Gives a function that writes a file in the current folder and returns its name."""
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "r.yaml") -> str:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
        return name

    return write


@pytest.fixture
def problems() -> Callable[..., list[str]]:
    """Gives a function that loads a recipe with problems, and returns a line for each."""

    def load(path: str, *overrides: str) -> list[str]:
        with pytest.raises(RecipeError) as error:
            load_recipe(path, overrides)
        assert str(error.value) == "\n".join(error.value.problems)
        return error.value.problems

    return load
