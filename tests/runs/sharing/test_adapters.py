"""Adapters that leave with the hub id of their base, and come back on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_hub import FakeHub, fake_hub
from huggingface_hub import ModelCard

from iglue_plugins import load_run
from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs import runner
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.sharing.public_files import public_files
from iglue_plugins.runs.sharing.upload import Destination, upload
from iglue_plugins.utils.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

IMAGE, TEXT = "mini/xvnli/dev/0/0", "ördek ve balon"
LORA = {"type": "lora", "r": 2}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    with fake_hub(monkeypatch, tmp_path / "cache") as hub:
        yield hub


def push(run: Run, hub_id: str) -> None:
    upload(public_files(run, hub_id), Destination(hub_id), "test")


def test_an_adapter_of_a_hub_model(write: Callable[..., Path], hub: FakeHub) -> None:
    push(runner.run(load_recipe(write("base"))), "me/base")
    model = {"name": "xuniter", "checkpoint": "me/base", "revision": "main", "adapter": LORA}
    run = runner.run(load_recipe(write("adapted", model=model)))
    card = ModelCard.load(run.card_path)
    assert (card.data.base_model, card.data.base_model_relation) == ("me/base", "adapter")
    expected = load_run(run.folder)(IMAGE, text=TEXT)
    push(run, "me/adapter")
    files = hub.repositories["me/adapter"].files
    assert "adapter_model.safetensors" in files and "model.safetensors" not in files
    config = json.loads(files["adapter_config.json"])
    assert (config["base_model_name_or_path"], config["revision"]) == ("me/base", "main")
    assert load_run("me/adapter")(IMAGE, text=TEXT).probabilities == pytest.approx(expected.probabilities)


def test_an_adapter_of_a_model_that_ships(write: Callable[..., Path], hub: FakeHub) -> None:
    run = runner.run(load_recipe(write("adapted", model={"name": "mini/xuniter", "adapter": LORA})))
    expected = load_run(run.folder)(IMAGE, text=TEXT)
    push(run, "me/mini")
    files = hub.repositories["me/mini"].files
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] is None
    assert load_run("me/mini")(IMAGE, text=TEXT).probabilities == pytest.approx(expected.probabilities)


def test_an_adapter_of_a_local_model_is_refused(write: Callable[..., Path], tiny_checkpoint: Path) -> None:
    model = {"name": "xuniter", "checkpoint": str(tiny_checkpoint), "adapter": LORA}
    run = runner.run(load_recipe(write("adapted", model=model)))
    with pytest.raises(
        UserError, match=f"its adapter belongs to the weights in {tiny_checkpoint}, which others do not"
    ):
        public_files(run, "me/adapter")
