"""`iglue push`, and runs that come back from a hub."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_hub import FakeHub, fake_hub
from huggingface_hub import ModelCard, constants

from iglue_plugins import load_run
from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs import runner
from iglue_plugins.runs.folder import Run
from iglue_plugins.utils.errors import UserError

# huggingface_hub sends files of LFS by an option that its HTTP client has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

Iglue = Callable[..., Any]
IMAGE, TEXT = "mini/xvnli/dev/0/0", "ördek ve balon"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    with fake_hub(monkeypatch, tmp_path / "cache") as hub:
        yield hub


@pytest.fixture
def run(write: Callable[..., Path]) -> Run:
    """A run of a tiny xUNITER from a local folder."""
    return runner.run(load_recipe(write("tiny", evaluation={"splits": ["dev"], "languages": ["en", "tr", "de"]})))


def test_a_run_comes_back_from_the_hub(iglue: Iglue, run: Run, hub: FakeHub) -> None:
    expected = load_run(run.folder)(IMAGE, text=TEXT)
    ended = iglue("push", run.folder, "me/tiny", "--license", "cc-by-4.0", "--message", "the first one")
    assert ended.code == 0, ended.err
    repository = hub.repositories["me/tiny"]
    assert ended.out.splitlines()[-1] == f"{hub.url}/me/tiny/commit/{repository.branches['main']}"
    assert (repository.private, repository.messages[-1]) == (False, "the first one")
    assert {"README.md", "record.json", "recipe.yaml", "model.safetensors", "tokenizer.json"} <= repository.files.keys()
    assert not [name for name in repository.files if name.startswith((".", "predictions"))]

    found = load_run("me/tiny")(IMAGE, text=TEXT)
    assert found.probabilities == pytest.approx(expected.probabilities)
    asked = iglue("predict", "me/tiny", "--image", IMAGE, "--text", TEXT, "--language", "tr", "--json")
    assert json.loads(asked.out)["label"] == expected.label
    assert "in 'tr' the run has accuracy" in asked.err

    card = ModelCard(repository.files["README.md"].decode())
    assert (card.data.license, card.data.model_name, card.data.library_name) == ("cc-by-4.0", "me/tiny", "iglue_plugins")
    assert 'load_run("me/tiny")' in card.text and "start_from: hf://me/tiny" in card.text
