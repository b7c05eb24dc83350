"""Frozen weights in a run: no trainer changes them, and a run is known by them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from iglue_plugins import registry
from iglue_plugins.mini import ASSETS
from iglue_plugins.recipes.recipe import Recipe, load_recipe
from iglue_plugins.runs import runner
from iglue_plugins.runs.fingerprint import fingerprint

FROZEN = ["encoder.text_embeddings", "encoder.region_embeddings", "encoder.layers.0"]
TRAINERS = {
    "finetune": {"steps": 2, "batch_size": 8},
    "xvl_maml": {"steps": 2, "support_size": 4, "query_size": 4, "inner_lr": 0.1},
}


@pytest.fixture(autouse=True)
def few_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.tasks.load("mini/xvnli"), "sizes", {"train": 32, "auxiliary": 16, "dev": 8, "test": 8})


def recipe(folder: Path, trainer: str, freeze: list[str] = FROZEN) -> Recipe:
    content = {
        "task": "mini/xvnli",
        "model": {"name": "mini/xuniter", "freeze": freeze},
        "trainer": {"name": trainer, "learning_rate": 1e-2, **TRAINERS[trainer]},
        "start_from": "model",
        "evaluation": {"languages": ["en", "de"]},
        "runs": str(folder / "runs"),
    }
    path = folder / f"{trainer}.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_recipe(path)


@pytest.mark.parametrize("trainer", TRAINERS)
def test_no_trainer_changes_them(trainer: str, tmp_path: Path) -> None:
    run = runner.run(recipe(tmp_path, trainer))
    before = load_file(ASSETS / "xuniter" / "model.safetensors")
    after = load_file(run.model_dir / "model.safetensors")
    for name, value in before.items():
        if name in after:
            is_frozen = name.startswith(tuple(f"{part}." for part in FROZEN))
            assert torch.equal(value, after[name]) or not is_frozen, name
    assert not torch.equal(before["encoder.layers.1.output.weight"], after["encoder.layers.1.output.weight"])


def test_a_run_is_known_by_them(tmp_path: Path) -> None:
    frozen, thawed = (fingerprint(recipe(tmp_path, "finetune", freeze), None) for freeze in (FROZEN, []))
    assert frozen != thawed
    assert frozen == fingerprint(recipe(tmp_path, "finetune", FROZEN[::-1]), None)
