"""Runs of a model with an adapter: what they store, go on with, refuse, and survive."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import tiny_dual_encoders as tiny
import torch
from safetensors.torch import load_file

from iglue_plugins.mini import ASSETS
from iglue_plugins.models.adapters import is_of_adapter
from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs import runner
from iglue_plugins.runs.fingerprint import fingerprint
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.plugins import load_model
from iglue_plugins.utils.errors import UserError

LORA = {"type": "lora", "r": 2, "dropout": 0.1}
MakeRecipe = Callable[..., Recipe]


@pytest.fixture
def adapted_recipe(recipe: MakeRecipe, tiny_checkpoint: Path) -> MakeRecipe:
    """Gives a function that writes a recipe whose model has an adapter, and loads it with overrides."""

    def make(changes: dict[str, Any] | None = None, *overrides: str, file: str = "recipe") -> Recipe:
        model = {"name": "xuniter", "checkpoint": str(tiny_checkpoint), "adapter": LORA}
        return recipe({"model": model, **(changes or {})}, *overrides, file=file)

    return make


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.model_dir / "adapter_model.safetensors")


def matrices(run: Run) -> dict[str, torch.Tensor]:
    return {name: value for name, value in weights(run).items() if ".lora_" in name}


def same(found: Run, expected: Run) -> None:
    assert found.folder.name == expected.folder.name
    assert weights(found).keys() == weights(expected).keys()
    assert all(value.equal(weights(expected)[name]) for name, value in weights(found).items())
    for language in found.record()["scores"]["test"]:
        assert found.read_predictions("test", language) == expected.read_predictions("test", language)


def test_a_run_holds_the_adapter_alone_and_the_next_stage_goes_on_with_it(
    adapted_recipe: MakeRecipe, fits: list[str], tiny_checkpoint: Path
) -> None:
    made = adapted_recipe({"trainer": "xvl_maml"})
    run = runner.run(made)
    assert fits == ["Finetune", "XVLMAML"]
    first = Run(Path(run.record()["start_from"]["path"]).parent)
    assert {path.name for path in run.model_dir.iterdir()} == {
        ".training.json", "README.md", "adapter_config.json", "adapter_model.safetensors", "adapter_origin.json",
    }  # fmt: skip
    config = json.loads((run.model_dir / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["r"]) == (str(tiny_checkpoint), 2)
    assert not any("base_layer" in name or "word_embeddings" in name for name in weights(run))
    before, after = matrices(first), matrices(run)
    assert before.keys() == after.keys() and any(not value.equal(before[name]) for name, value in after.items())
    (start, _), (loaded, _) = load_model(made, first.model_dir), load_model(made, run.model_dir)
    for name, value in loaded.named_parameters():
        is_trained = is_of_adapter(name) or name.startswith(("head.", "contrastive."))
        assert value.requires_grad == is_trained
        if not is_trained:
            assert value.equal(start.get_parameter(name)), name


def test_scores_of_a_loaded_run_are_those_of_the_trained_one(adapted_recipe: MakeRecipe, fits: list[str]) -> None:
    run = runner.run(adapted_recipe())
    expected = run.read_predictions("test", "tr")
    run.predictions_path("test", "tr").unlink()
    again, _ = runner.evaluate(run.folder, languages=["tr", "de"])
    assert again.read_predictions("test", "tr") == expected and fits == ["Finetune"]
    assert runner.run(adapted_recipe()).folder == run.folder and fits == ["Finetune"]


def test_a_new_adapter_on_the_weights_of_a_run_without(
    adapted_recipe: MakeRecipe, recipe: MakeRecipe, fits: list[str], tmp_path: Path
) -> None:
    plain = runner.run(recipe(file="plain"))
    made = adapted_recipe({"trainer": "xvl_maml", "start_from": "plain.yaml"})
    run = runner.run(made)
    assert fits == ["Finetune", "XVLMAML"]
    origin = json.loads((run.model_dir / "adapter_origin.json").read_text())
    assert origin["base"]["source"]["checkpoint"] == str(plain.model_dir)
    (tmp_path / "runs").rename(tmp_path / "moved")
    moved = Run(tmp_path / "moved" / run.folder.name)
    again, _ = runner.evaluate(moved.folder, languages=["de"])
    assert set(again.record()["scores"]["test"]) == {"en", "tr", "de"}
    base = tmp_path / "moved" / plain.folder.name / "model"
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 0.1}))
    with pytest.raises(UserError, match="its adapter belongs to other weights than those in .*model now; bring back"):
        load_model(made, moved.model_dir)
    shutil.rmtree(base)
    with pytest.raises(UserError, match="its adapter belongs to the weights in .*, which are not there any more"):
        load_model(made, moved.model_dir)


def test_weights_that_no_file_has_are_drawn_again(adapted_recipe: MakeRecipe) -> None:
    """As those of an xUNITER on text weights: regions' embeddings are drawn by the seed of the first stage."""
    config = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    sizes = config | {"vocab_size": 1000, "region_feature_size": 20, "pooler_size": 8, "classifier_hidden_size": 8}
    stored = json.loads((ASSETS / "xuniter" / "config.json").read_text())
    sizes |= {key: stored[key] for key in ("vocab_size", "region_feature_size", "pad_token_id")}
    model = {"name": "xuniter", "tokenizer": str(ASSETS / "xuniter"), "config": sizes, "adapter": LORA}
    made = adapted_recipe({"model": model}, "seed=5")
    run = runner.run(made)
    origin = json.loads((run.model_dir / "adapter_origin.json").read_text())
    assert origin["base"]["hashes"].keys() == {"weights"} and origin["base"]["seed"] == 5
    other_seed = made.model_copy(update={"seed": 6})
    embeddings = [
        load_model(found, run.model_dir)[0].get_parameter("encoder.region_embeddings.norm.weight")
        for found in (made, other_seed)
    ]
    assert embeddings[0].equal(embeddings[1])
    changed = adapted_recipe({"model": model | {"config": sizes | {"initializer_range": 0.1}}})
    with pytest.raises(UserError, match="belongs to other weights than those that the model's settings give with seed"):
        load_model(changed, run.model_dir)


def test_what_does_not_fit_the_adapter_is_said_before_a_run(
    adapted_recipe: MakeRecipe, recipe: MakeRecipe, fits: list[str]
) -> None:
    run = runner.run(adapted_recipe())
    fits.clear()
    start = {"trainer": "xvl_maml", "start_from": str(run.folder)}
    with pytest.raises(UserError, match="model.adapter: .* has an adapter, and the recipe has none; set it to {type"):
        runner.run(recipe(start, file="next"))
    with pytest.raises(UserError, match="model.adapter.r: it is 3 in the recipe, but 2 in the adapter of .*; set it"):
        runner.run(adapted_recipe(start, "model.adapter.r=3", file="next"))
    assert fits == []
    with pytest.raises(UserError, match="target_modules: no linear layer of the XUniter.* is named 'query' or ends"):
        runner.run(adapted_recipe(None, "model.adapter.target_modules=[query]"))
    assert fits == []
    assert runner.run(adapted_recipe(start, "model.adapter.dropout=0", file="next")).is_finished
    assert runner.run(adapted_recipe(start | {"start_from": str(run.model_dir)}, file="next")).is_finished


def test_an_adapter_counts_for_the_fingerprint(adapted_recipe: MakeRecipe, recipe: MakeRecipe) -> None:
    found = {fingerprint(adapted_recipe(None, *overrides), None) for overrides in (
        (), ("model.adapter.r=3",), ("model.adapter.alpha=3",), ("model.adapter=null",),
    )}  # fmt: skip
    assert len(found) == 4 and fingerprint(recipe(), None) in found


@pytest.mark.parametrize("moment", [
    "MetaObjective, 'forward', 1", "MetaObjective, 'forward', 5", "Checkpoints, 'on_save', 2",
    "Run, 'write_predictions', 1",
])  # fmt: skip
def test_a_killed_run_resumes_to_the_very_same_result(
    moment: str, adapted_recipe: MakeRecipe, start: Callable[..., BaseProcess], tmp_path: Path
) -> None:
    made = adapted_recipe({"trainer": "xvl_maml", "start_from": "model"})
    killed = start(f"at_call({moment}, signal.SIGKILL)\nrunner.run(load_recipe(recipe))")
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL, (tmp_path / "log").read_text()
    expected = runner.run(made.model_copy(update={"runs": tmp_path / "uninterrupted"}))
    same(runner.run(made), expected)


@pytest.mark.parametrize("trainer", [
    {"name": "few_shot", "shots": 6, "epochs": 1, "batch_size": 4, "learning_rates": [1e-2, 1e-3]},
    {"name": "contrastive_adaptation", "support_size": 4, "inner_steps": 2, "pairs": "all"},
])  # fmt: skip
def test_trainers_that_adapt_to_each_language(
    trainer: dict[str, Any], adapted_recipe: MakeRecipe, fits: list[str]
) -> None:
    made = adapted_recipe({"trainer": trainer})
    run = runner.run(made)
    assert set(run.record()["scores"]["test"]) == {"en", "tr"}
    expected = run.read_predictions("test", "tr")
    run.predictions_path("test", "tr").unlink()
    assert runner.run(made).read_predictions("test", "tr") == expected
    assert fits[0] == "Finetune"


def test_each_new_adapter_begins_with_the_same_matrices(adapted_recipe: MakeRecipe) -> None:
    """Few-shot fine-tuning loads the model for each learning rate, and again where it was killed."""
    trainer = {"name": "few_shot", "shots": 6, "epochs": 1, "batch_size": 4, "learning_rates": [1e-2, 1e-3]}
    made = adapted_recipe({"trainer": trainer, "start_from": "model"})
    run = runner.run(made)
    expected = run.read_predictions("test", "tr")
    run.predictions_path("test", "tr").unlink()
    assert runner.run(made).read_predictions("test", "tr") == expected


@pytest.mark.parametrize("towers", [False, True], ids=["checkpoint", "text and vision"])
def test_a_dual_encoder(towers: bool, recipe: MakeRecipe, tmp_path: Path, fits: list[str]) -> None:
    model: dict[str, Any] = {"name": "dual_encoder", "adapter": {"type": "lora", "r": 2}}
    if towers:
        reference = tiny.save_tiny("xlm-roberta+dinov2", tmp_path / "both")
        for part in ("text", "vision"):
            shutil.copytree(tmp_path / "both", tmp_path / part)
            getattr(reference, f"{part}_model").save_pretrained(tmp_path / part)
        model |= {"text": str(tmp_path / "text"), "vision": str(tmp_path / "vision"), "projection_size": 8}
    else:
        tiny.save_tiny("siglip", tmp_path / "siglip")
        model["checkpoint"] = str(tmp_path / "siglip")
    run = runner.run(recipe({"model": model, "trainer": {"name": "xvl_maml", "steps": 2}}))
    assert fits == ["Finetune", "XVLMAML"]
    stored = weights(run)
    assert "base_model.model.encoder.logit_scale" in stored and any(".head.classifier." in name for name in stored)
    assert any(".vision_model." in name for name in matrices(run))
    expected = run.read_predictions("test", "tr")
    run.predictions_path("test", "tr").unlink()
    assert runner.evaluate(run.folder, languages=["tr"])[0].read_predictions("test", "tr") == expected


def test_gradient_checkpointing_and_bfloat16(adapted_recipe: MakeRecipe) -> None:
    plain = {"trainer": "xvl_maml", "start_from": "model"}
    expected = runner.run(adapted_recipe(plain))
    checkpointed = adapted_recipe(plain, "model.gradient_checkpointing=true", f"runs={expected.folder.parent}/other")
    same(runner.run(checkpointed), expected)
    low = runner.run(adapted_recipe(plain, "trainer.precision=bfloat16", "evaluation.precision=bfloat16"))
    assert low.record()["scores"]["test@bfloat16"].keys() == {"en", "tr"}
    assert all(value.dtype == torch.float32 for value in weights(low).values())
