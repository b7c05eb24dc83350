"""Runs of models with a context: CAVIA, adaptation of the context at test time, and what other stages make of it."""

from __future__ import annotations

import json
from collections.abc import Callable

import torch
from safetensors.torch import load_file
from torch import Tensor

from iglue_plugins.models.context import find_context
from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs import runner
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.plugins import load_model

MakeRecipe = Callable[..., Recipe]
CAVIA = {"trainer": {"name": "xvl_maml", "context_size": 4, "inner_lr": 2000.0}}  # the tiny model is flat
MATRIX = "encoder.text_embeddings.context.weight"
LORA = {"type": "lora", "r": 2}


def weights(run: Run, file: str = "model.safetensors") -> dict[str, Tensor]:
    return load_file(run.model_dir / file)


def adaptation(start: Run, inner_lr: float = 1e5) -> dict:
    trainer = {"name": "contrastive_adaptation", "inner_lr": inner_lr, "support_size": 4, "split": "auxiliary"}
    return {"trainer": trainer, "start_from": str(start.folder), "evaluation": {"languages": ["tr"]}}


def probabilities(run: Run) -> Tensor:
    rows = run.read_predictions("test", "tr")
    return torch.tensor([list(row["probabilities"].values()) for row in rows])


def test_a_run_keeps_its_context_which_adapts_at_test_time(recipe: MakeRecipe, fits: list[str]) -> None:
    made = recipe(CAVIA)
    run = runner.run(made)
    first = Run(next(path for path in run.folder.parent.iterdir() if path != run.folder and path.is_dir()))
    assert fits == ["Finetune", "XVLMAML"] and MATRIX not in weights(first)
    assert find_context(load_model(made, first.model_dir)[0]) is None
    assert weights(run)[MATRIX].shape[1] == 4
    model, _ = load_model(made, run.model_dir)
    assert find_context(model)[1].weight.equal(weights(run)[MATRIX])
    near, far = (runner.run(recipe(adaptation(run, rate), file=f"adapted_{rate:.0f}")) for rate in (1e-9, 1e5))
    torch.testing.assert_close(probabilities(near), probabilities(run), rtol=0, atol=5e-6)
    assert (probabilities(far) - probabilities(run)).abs().max() > 1e-4
    assert fits == ["Finetune", "XVLMAML"]


def test_the_next_stage_goes_on_with_the_context(recipe: MakeRecipe, fits: list[str]) -> None:
    run = runner.run(recipe(CAVIA))
    tuned = runner.run(recipe({"trainer": "finetune", "start_from": str(run.folder)}, file="tuned"))
    assert weights(tuned)[MATRIX].equal(weights(run)[MATRIX])
    again = runner.run(recipe(CAVIA | {"start_from": str(run.folder)}, file="again"))
    assert (moved := (weights(again)[MATRIX] - weights(run)[MATRIX]).abs().max()) > 0 and moved < 0.1
    assert fits == ["Finetune", "XVLMAML", "Finetune", "XVLMAML"]


def test_a_context_beside_an_adapter_is_stored_with_it(recipe: MakeRecipe, fits: list[str]) -> None:
    model = recipe().model.settings | {"name": "xuniter", "adapter": LORA}
    made = recipe(CAVIA | {"model": model})
    run = runner.run(made)
    name = f"base_model.model.{MATRIX}"
    stored = weights(run, "adapter_model.safetensors")[name]
    assert json.loads((run.model_dir / "adapter_origin.json").read_text())["context_size"] == 4
    loaded, _ = load_model(made, run.model_dir)
    context = find_context(loaded)[1]
    assert context.weight.equal(stored) and context.weight.requires_grad and not context.values.any()
    adapted = runner.run(recipe(adaptation(run) | {"model": model}, file="adapted"))
    assert (probabilities(adapted) - probabilities(run)).abs().max() > 1e-4
    tuned = runner.run(recipe({"trainer": "finetune", "start_from": str(run.folder), "model": model}, file="tuned"))
    assert weights(tuned, "adapter_model.safetensors")[name].equal(stored)


def test_a_new_adapter_on_a_model_with_a_context_leaves_its_matrix(recipe: MakeRecipe, fits: list[str]) -> None:
    run = runner.run(recipe(CAVIA))
    model = recipe().model.settings | {"name": "xuniter", "adapter": LORA}
    made = recipe(CAVIA | {"model": model, "start_from": str(run.folder)}, file="adapter")
    again = runner.run(made)
    assert f"base_model.model.{MATRIX}" not in weights(again, "adapter_model.safetensors")
    loaded, _ = load_model(made, again.model_dir)
    assert find_context(loaded)[1].weight.equal(weights(run)[MATRIX])
