"""The size of region features: a model that reads another one is told of before anything is trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from captioned_regions import write_captions
from safetensors.torch import load_file

from iglue_plugins.mini import ASSETS
from iglue_plugins.mini.world import FEATURE_SIZE
from iglue_plugins.models.configuration import XUniterConfig
from iglue_plugins.models.uniter import XUniterForVisionAndLanguage
from iglue_plugins.models.volta.writing import export_checkpoint
from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs import preflight, runner
from iglue_plugins.utils.errors import UserError

MakeRecipe = Callable[..., Recipe]
TRAINER = {"name": "finetune", "steps": 2, "batch_size": 4, "learning_rate": 1e-3}
PRETRAIN = {"name": "pretrain", "steps": 2, "batch_size": 4, "learning_rate": 1e-3, "language_shares": {"en": 1}}


@pytest.fixture
def captions(tmp_path: Path) -> dict[str, Any]:
    """A task whose regions have 8 features."""
    return {"name": "custom/retrieval", "data": str(write_captions(tmp_path / "captions", 8))}


@pytest.fixture
def fresh(tiny_checkpoint: Path) -> dict[str, Any]:
    """A model of fresh weights, whose regions have the default size."""
    stored = json.loads((tiny_checkpoint / "config.json").read_text())
    keys = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "pooler_size")
    return {"name": "xuniter", "tokenizer": str(ASSETS / "tokenizer"), "config": {key: stored[key] for key in keys}}


@pytest.fixture
def other_checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """The tiny checkpoint's like, for regions of 24 features."""
    folder = tmp_path / "other"
    shutil.copytree(tiny_checkpoint, folder)
    config = XUniterConfig.from_pretrained(folder, region_feature_size=24)
    XUniterForVisionAndLanguage(config).save_pretrained(folder)
    return folder


def test_weights_for_another_size_are_found_before_the_first_stage(
    recipe: MakeRecipe, other_checkpoint: Path, fits: list[str]
) -> None:
    made = recipe({"model": {"name": "xuniter", "checkpoint": str(other_checkpoint)}, "trainer": "xvl_maml"})
    with pytest.raises(UserError) as error:
        runner.run(made)
    assert str(error.value) == (
        f"task tiny/xvnli: its regions have {FEATURE_SIZE} features, but the weights of {other_checkpoint} read 24; "
        "make the store as the one that they were trained on, or pre-train a model on such regions: one without a "
        f"checkpoint, and with model.config.region_feature_size={FEATURE_SIZE} (docs/regions.md)"
    )
    assert fits == []


def test_a_later_stage_on_another_store_is_found_before_the_first(
    recipe: MakeRecipe, captions: dict[str, Any], tiny_checkpoint: Path, fits: list[str]
) -> None:
    recipe(file="before")
    changes = {"task": captions, "trainer": TRAINER, "start_from": "before.yaml", "evaluation": {"languages": ["en"]}}
    with pytest.raises(
        UserError, match=rf"captions/regions: its regions have 8 features, but .*{tiny_checkpoint} read"
    ):
        runner.run(recipe(changes, file="after"))
    assert fits == []


def test_a_run_that_is_started_from_says_its_size(
    recipe: MakeRecipe, captions: dict[str, Any], fits: list[str]
) -> None:
    before = runner.run(recipe())
    fits.clear()
    changes = {
        "task": captions,
        "trainer": TRAINER,
        "start_from": str(before.folder),
        "evaluation": {"languages": ["en"]},
    }
    with pytest.raises(UserError, match=rf"its regions have 8 features, but the weights of {before.model_dir} read"):
        runner.run(recipe(changes, file="after"))
    assert fits == []


def test_the_base_of_an_adapter_says_its_size(recipe: MakeRecipe, other_checkpoint: Path, fits: list[str]) -> None:
    model = {"name": "xuniter", "checkpoint": str(other_checkpoint), "adapter": {"type": "lora"}}
    (sentence,) = preflight.lacking([recipe({"model": model})])
    assert f"but the weights of {other_checkpoint} read 24" in sentence


def test_a_model_of_volta_says_its_size(recipe: MakeRecipe, other_checkpoint: Path, tmp_path: Path) -> None:
    export_checkpoint(other_checkpoint, tmp_path / "volta")
    weights = tmp_path / "volta" / "pytorch_model.bin"
    model = {"name": "xuniter", "checkpoint": str(weights), "tokenizer": str(ASSETS / "tokenizer")}
    (sentence,) = preflight.lacking([recipe({"model": model})])
    assert f"but the weights of {weights} read 24" in sentence


def test_a_setting_cannot_change_the_size_of_weights(recipe: MakeRecipe, other_checkpoint: Path) -> None:
    config = {"region_feature_size": FEATURE_SIZE}
    model = {"name": "xuniter", "checkpoint": str(other_checkpoint), "config": config}
    (sentence,) = preflight.lacking([recipe({"model": model})])
    assert sentence.startswith(f"model.config.region_feature_size: it is {FEATURE_SIZE}, but the weights of ")


def test_a_fresh_model_is_pretrained_on_another_size_and_used(
    recipe: MakeRecipe, captions: dict[str, Any], fresh: dict[str, Any], fits: list[str]
) -> None:
    changes = {
        "task": captions,
        "model": fresh,
        "trainer": PRETRAIN,
        "evaluation": {"languages": ["en"], "splits": ["dev"]},
    }
    with pytest.raises(UserError) as error:
        runner.run(recipe(changes))
    sentence = str(error.value)
    assert sentence.endswith(
        "captions/regions: its regions have 8 features, but the model reads 2048; set "
        "model.config.region_feature_size=8, or make the store from features of size 2048"
    )
    assert fits == []
    pretrained = runner.run(recipe(changes, "model.config.region_feature_size=8"))
    assert json.loads((pretrained.model_dir / "config.json").read_text())["region_feature_size"] == 8
    weights = load_file(pretrained.model_dir / "model.safetensors")
    assert [len(weight.T) for name, weight in weights.items() if "image_embeddings.weight" in name] == [8]
    tuned = recipe(
        changes | {"trainer": TRAINER, "model": "xuniter", "start_from": str(pretrained.folder)}, file="tuned"
    )
    assert preflight.lacking([tuned]) == []
    runner.run(tuned)
    assert fits == ["Pretrain", "Finetune"]


def test_a_finished_first_stage_needs_its_checkpoint_no_more(
    recipe: MakeRecipe, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_checkpoint, tmp_path / "gone")
    made = recipe({"model": {"name": "xuniter", "checkpoint": str(tmp_path / "gone")}, "trainer": "auxiliary_finetune"})
    shutil.rmtree(tmp_path / "gone")
    assert preflight.lacking([made]) == []
