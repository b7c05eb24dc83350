"""Runs in several processes: the weights and predictions of one, first and second order, with an uneven last step."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from iglue_plugins import harness, processes
from iglue_plugins.errors import UserError
from iglue_plugins.recipes import Recipe
from iglue_plugins.runs import Run

EPISODES = {"name": "xvl_maml", "steps": 3, "support_size": 4, "query_size": 4, "accumulation": 2, "inner_lr": 0.1}
TRAINERS = {
    "finetune": {"name": "finetune", "epochs": 1, "batch_size": 5, "accumulation": 4, "validate_every": 1},
    "second_order": EPISODES,
    "first_order": EPISODES | {"first_order": True},
    "few_shot": {"name": "few_shot", "shots": 7, "epochs": 1, "batch_size": 2, "accumulation": 2,
                 "learning_rates": [1e-2]},
}
LAUNCHED = """
import sys
sys.path.insert(0, {tiny_task!r})
import tiny_task
from iglue_plugins import harness
from iglue_plugins.recipes import load_recipe
for path in sys.argv[1:]:
    harness.run(load_recipe(path))
"""


def launch(tmp_path: Path, tiny_task: Path, recipes: list[str], count: int) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "launched.py"
    script.write_text(LAUNCHED.format(tiny_task=str(tiny_task)))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}", str(script)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(harness.__file__).parents[1])}
    return subprocess.run([*command, *recipes], env=environment, cwd=tmp_path, capture_output=True, text=True,
                          timeout=300)


@pytest.fixture
def without_dropout(tmp_path: Path, tiny_checkpoint: Path) -> dict[str, Any]:
    """A model whose weights depend on the examples alone."""
    config = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return {"name": "xuniter", "checkpoint": str(tiny_checkpoint), "config": config}


def made(recipe: Callable[..., Recipe], model: dict[str, Any], runs: Path) -> dict[str, Recipe]:
    return {name: recipe({"trainer": trainer, "start_from": "model", "model": model, "runs": str(runs)}, file=name)
            for name, trainer in TRAINERS.items()}


def test_two_processes_train_and_score_as_one(
    recipe: Callable[..., Recipe], without_dropout: dict[str, Any], tiny_task: Path, tmp_path: Path
) -> None:
    two = made(recipe, without_dropout, tmp_path / "two")
    ended = launch(tmp_path, tiny_task, [str(tmp_path / f"{name}.yaml") for name in two], count=2)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("training second_order") == 1
    for name, one in made(recipe, without_dropout, tmp_path / "one").items():
        alone = harness.run(one)
        (folder,) = (tmp_path / "two").glob(f"{name}-*")
        together = Run(folder)
        assert together.folder.name == alone.folder.name
        assert alone.record()["steps"] == together.record()["steps"]
        for language in ("en", "tr"):
            assert together.read_predictions("test", language) == alone.read_predictions("test", language)
        if name == "few_shot":
            continue
        expected = load_file(alone.model_dir / "model.safetensors")
        for key, value in load_file(together.model_dir / "model.safetensors").items():
            torch.testing.assert_close(value, expected[key], rtol=1e-4, atol=2e-6, msg=lambda text, key=key: key + text)


def test_processes_that_cannot_share_a_step_are_told_so(
    recipe: Callable[..., Recipe], tiny_task: Path, tmp_path: Path
) -> None:
    recipe()
    ended = launch(tmp_path, tiny_task, [str(tmp_path / "recipe.yaml")], count=2)
    assert ended.returncode != 0
    assert "trainer.accumulation: found 1 for 2 processes, expected at least 2" in ended.stderr


@pytest.mark.parametrize("variable", ["ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"])
def test_wrappers_that_take_parameters_apart_are_refused(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "true")
    with pytest.raises(UserError, match=f"^{variable}: found true, expected plain data-parallel processes"):
        processes.join()


def test_a_comparison_is_made_by_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="^WORLD_SIZE: found 2 processes, expected one for iglue compare"):
        processes.check_alone("iglue compare")
