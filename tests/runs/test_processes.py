"""Runs in several processes, which have the gradients, weights and predictions of one process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs import plugins, runner
from iglue_plugins.runs.folder import Run
from iglue_plugins.trainers.training_data import TrainingData
from iglue_plugins.utils import distributed
from iglue_plugins.utils.errors import UserError

MakeRecipe = Callable[..., Recipe]
EPISODES = {"name": "xvl_maml", "steps": 3, "support_size": 4, "query_size": 4, "accumulation": 2, "inner_lr": 0.1}
TRAINERS = {
    "finetune": {"name": "finetune", "epochs": 1, "batch_size": 5, "accumulation": 4, "validate_every": 1},
    "second_order": EPISODES,
    "first_order": EPISODES | {"first_order": True},
    "few_shot": {
        "name": "few_shot",
        "shots": 7,
        "epochs": 1,
        "batch_size": 2,
        "accumulation": 2,
        "learning_rates": [1e-2],
    },
}
GRADIENTS = {
    "finetune": {"name": "finetune", "epochs": 1, "batch_size": 5, "accumulation": 4},  # 7 batches, the last of 2
    "second_order": EPISODES | {"steps": 2, "accumulation": 3},
    "first_order": EPISODES | {"steps": 2, "accumulation": 3, "first_order": True},
}
RUN_ALL = """
for path in sorted(Path(recipe).parent.glob("*.yaml")):
    runner.run(load_recipe(path))
"""
NOTE_GRADIENTS = """
import torch
from iglue_plugins.trainers import progress

def note(self, args, state, control, model=None, **_):
    run, rank = Path(args.output_dir).parent.name, os.environ.get("RANK", "alone")
    found = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    torch.save(found, Path(log).with_name(f"{run.partition('-')[0]}-{state.global_step}-{rank}.pt"))

progress.Progress.on_pre_optimizer_step = note
"""
NOTE_STEPS = """
from iglue_plugins.trainers import progress

begins = progress.Progress.on_step_begin
progress.Progress.on_step_begin = lambda self, args, state, control, **_: (
    print("step", state.global_step), begins(self, args, state, control)) and None
"""
TWO_CLOCKS = """
due = iter([False, True, False, False] if os.environ["RANK"] == "0" else [True] * 4)
Checkpoints._is_due = lambda self: next(due)
on_save = Checkpoints.on_save
Checkpoints.on_save = lambda self, args, state, control, **_: (
    print("saved", state.global_step), on_save(self, args, state, control)) and None
"""
LAUNCHED = """
import sys
sys.path.insert(0, {tiny_task!r})
import tiny_task
from iglue_plugins.runs import plugins, runner
from iglue_plugins.recipes.recipe import load_recipe
runner.run(load_recipe(sys.argv[1]))
"""
LAUNCHERS = {
    "torchrun": ("torch.distributed.run", "--standalone", "--nproc-per-node=2"),
    "accelerate": (
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes=2",
        "--num_machines=1",
        "--mixed_precision=no",
        "--dynamo_backend=no",
        "--main_process_port=0",
    ),
}


def succeed(started: list[BaseProcess], tmp_path: Path) -> None:
    for process in started:
        process.join(120)
        assert process.exitcode == 0, [path.read_text() for path in tmp_path.glob("log*")]


@pytest.fixture
def without_dropout(tmp_path: Path, tiny_checkpoint: Path) -> dict[str, Any]:
    """A model whose weights depend on the examples alone."""
    config = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return {"name": "xuniter", "checkpoint": str(tiny_checkpoint), "config": config}


def same_weights(found: Run, expected: Run) -> None:
    assert found.folder.name == expected.folder.name
    assert found.record()["steps"] == expected.record()["steps"]
    for language in ("en", "tr"):
        assert found.read_predictions("test", language) == expected.read_predictions("test", language)
    if found.model_dir.is_dir():
        weights = load_file(expected.model_dir / "model.safetensors")
        for key, value in load_file(found.model_dir / "model.safetensors").items():
            torch.testing.assert_close(value, weights[key], rtol=1e-4, atol=2e-6, msg=lambda text, key=key: key + text)


def test_two_processes_train_and_score_as_one(
    recipe: MakeRecipe, without_dropout: dict[str, Any], start_two: Callable[..., list[BaseProcess]], tmp_path: Path
) -> None:
    made = {
        name: recipe({"trainer": trainer, "start_from": "model", "model": without_dropout}, file=name)
        for name, trainer in TRAINERS.items()
    }
    succeed(start_two(RUN_ALL), tmp_path)
    said = [(tmp_path / f"log{rank}").read_text() for rank in range(2)]
    assert (said[0].count("training second_order"), said[1]) == (1, "")
    for name, made_recipe in made.items():
        (folder,) = made_recipe.runs.glob(f"{name}-*")
        same_weights(Run(folder), runner.run(made_recipe.model_copy(update={"runs": tmp_path / "one"})))


def test_a_step_has_the_same_gradient_in_two_processes_in_one_and_by_hand(
    recipe: MakeRecipe,
    without_dropout: dict[str, Any],
    start: Callable[..., BaseProcess],
    start_two: Callable[..., list[BaseProcess]],
    tmp_path: Path,
) -> None:
    """The items of a step do not divide evenly. The learning rate is tiny, so all steps start at the same weights."""
    made = {}
    for name, trainer in GRADIENTS.items():
        trainer = trainer | {"clip_norm": 0, "learning_rate": 1e-12}
        made[name] = recipe({"trainer": trainer, "start_from": "model", "model": without_dropout}, file=name)
    succeed(start_two(NOTE_GRADIENTS + RUN_ALL), tmp_path)
    made[name].runs.rename(tmp_path / "two")
    start(NOTE_GRADIENTS + RUN_ALL).join(60)
    for name, made_recipe in made.items():
        expected = gradients_by_hand(made_recipe)
        assert len(expected) == 2
        for step, by_hand in enumerate(expected):
            for process in ("alone", 0, 1):
                found = torch.load(tmp_path / f"{name}-{step}-{process}.pt")
                assert relative_difference(found, by_hand) < 1e-6, (name, step, process)


def gradients_by_hand(recipe: Recipe) -> list[dict[str, Tensor]]:
    """Computes the gradient of each step, as the mean over its items."""
    task, trainer = plugins.make_task(recipe), plugins.make_trainer(recipe)
    torch.manual_seed(recipe.seed)
    model, processor = plugins.load_model(recipe, None)
    torch.manual_seed(recipe.seed)
    model.set_head(task.head, task.num_labels)
    objective = trainer.objective(model.train(), task)
    steps = trainer.steps(TrainingData(task, processor, ("en",), tuple(recipe.auxiliary_languages), recipe.seed))
    found, accumulation = [], trainer.settings.accumulation
    for first in range(0, len(steps), accumulation):
        items = range(first, min(first + accumulation, len(steps)))
        objective.zero_grad()
        for item in items:
            (objective(**steps[item])["loss"] / len(items)).backward()
        found.append(
            {name: weight.grad.clone() for name, weight in objective.named_parameters() if weight.grad is not None}
        )
    return found


def relative_difference(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Computes the relative difference of two gradients by their norms; a missing weight has gradient 0."""
    zero = torch.zeros(())
    off = [found.get(name, zero).double() - expected.get(name, zero) for name in found | expected]
    squares = [sum(each.double().norm() ** 2 for each in gradient) for gradient in (off, expected.values())]
    return (squares[0] / squares[1]).sqrt().item()


@pytest.mark.parametrize("first", [2, 1])
def test_a_run_is_resumed_by_another_number_of_processes(
    first: int,
    recipe: MakeRecipe,
    without_dropout: dict[str, Any],
    start: Callable[..., BaseProcess],
    start_two: Callable[..., list[BaseProcess]],
    tmp_path: Path,
) -> None:
    changes = {"trainer": EPISODES | {"steps": 4, "save_every": 1}, "start_from": "model", "model": without_dropout}
    made = recipe(changes)
    third_step = {1: 5, 2: 3}[first]  # of two episodes
    code = f"at_call(MetaObjective, 'forward', {third_step}, signal.SIGKILL)\nrunner.run(load_recipe(recipe))"
    for process in start_two(code) if first == 2 else [start(code)]:
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
    code = f"{NOTE_STEPS}runner.run(load_recipe(recipe))"
    succeed([start(code, "log0")] if first == 2 else start_two(code), tmp_path)
    said = (tmp_path / "log0").read_text().splitlines()
    assert [line for line in said if line.startswith("step")] == ["step 2", "step 3"], said
    (folder,) = made.runs.glob("recipe-*")
    same_weights(Run(folder), runner.run(made.model_copy(update={"runs": tmp_path / "expected"})))


def test_the_main_process_says_when_a_checkpoint_is_due(
    recipe: MakeRecipe, without_dropout: dict[str, Any], start_two: Callable[..., list[BaseProcess]], tmp_path: Path
) -> None:
    """The clock of the other process says it all the time."""
    recipe({"trainer": EPISODES | {"steps": 4}, "start_from": "model", "model": without_dropout})
    succeed(start_two(f"{TWO_CLOCKS}runner.run(load_recipe(recipe))"), tmp_path)
    for rank in range(2):
        said = (tmp_path / f"log{rank}").read_text().splitlines()
        assert [line for line in said if line.startswith("saved")] == ["saved 2", "saved 4"]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_launcher_starts_a_run(
    launcher: str, recipe: MakeRecipe, without_dropout: dict[str, Any], tiny_task: Path, tmp_path: Path
) -> None:
    made = recipe({"trainer": EPISODES, "start_from": "model", "model": without_dropout})
    script = tmp_path / "launched.py"
    script.write_text(LAUNCHED.format(tiny_task=str(tiny_task)))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(runner.__file__).parents[2])}
    ended = subprocess.run(
        [sys.executable, "-m", *LAUNCHERS[launcher], str(script), str(tmp_path / "recipe.yaml")],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("training recipe") == 1
    (folder,) = made.runs.glob("recipe-*")
    same_weights(Run(folder), runner.run(made.model_copy(update={"runs": tmp_path / "one"})))


def test_more_processes_than_items_of_a_step_are_an_error(
    recipe: MakeRecipe, start_two: Callable[..., list[BaseProcess]], tmp_path: Path
) -> None:
    recipe()
    both = start_two("sys.argv = ['iglue', 'run', recipe]\ncli.main()")
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [2, 2]
    sentence = next(line for line in (tmp_path / "log0").read_text().splitlines() if line.startswith("iglue: "))
    assert "trainer.accumulation" in sentence and "2 processes" in sentence


@pytest.mark.parametrize("variable", ["ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"])
def test_wrappers_that_shard_parameters_are_an_error(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "true")
    with pytest.raises(UserError, match=f"^{variable} is true"):
        distributed.init_distributed()


def test_a_comparison_in_several_processes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="^WORLD_SIZE is 2.*iglue compare"):
        distributed.require_single_process("iglue compare")
