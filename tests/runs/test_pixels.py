"""Runs of a dual encoder on the drawn scenes of a mini task, from pixels."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import tiny_dual_encoders as tiny
from safetensors.torch import load_file
from transformers import AutoTokenizer

from iglue_plugins.mini import ASSETS
from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs import plugins, runner
from iglue_plugins.runs.folder import Run
from iglue_plugins.utils.errors import UserError

MakeRecipe = Callable[..., Recipe]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("siglip")
    tiny.save_tiny("siglip", folder, AutoTokenizer.from_pretrained(ASSETS / "tokenizer"))
    return folder


@pytest.fixture
def pixels(recipe: MakeRecipe, checkpoint: Path) -> MakeRecipe:
    """Gives a function that makes a recipe with the dual encoder, a trainer and overrides."""

    def make(trainer: object, *overrides: str, file: str = "recipe", start_from: str | None = None) -> Recipe:
        changes = {"model": {"name": "dual_encoder", "checkpoint": str(checkpoint)}, "trainer": trainer}
        return recipe(changes | ({"start_from": start_from} if start_from else {}), *overrides, file=file)

    return make


def test_xvl_maml_of_second_order_trains_towers_and_head(pixels: MakeRecipe) -> None:
    run = runner.run(pixels("xvl_maml"))
    before, after = (
        load_file(folder / "model.safetensors") for folder in (Path(run.record()["start_from"]["path"]), run.model_dir)
    )
    assert before.keys() == after.keys()
    for name in ("text_model.embeddings.token_embedding.weight", "vision_model.embeddings.patch_embedding.weight"):
        assert not before[f"encoder.{name}"].equal(after[f"encoder.{name}"]), name
    assert not before["head.classifier.0.weight"].equal(after["head.classifier.0.weight"])
    assert set(run.record()["scores"]["test"]) == {"en", "tr"}
    assert {path.name for path in run.model_dir.iterdir()} >= {"tokenizer.json", "preprocessor_config.json"}


def test_a_run_needs_the_base_no_more_and_evaluates_other_languages(
    pixels: MakeRecipe, checkpoint: Path, tmp_path: Path
) -> None:
    base = Path(shutil.copytree(checkpoint, tmp_path / "base"))
    made = pixels({"name": "finetune"}, f"model.checkpoint={base}")
    run = runner.run(made)
    shutil.rmtree(base)
    model, processor = plugins.load_model(made, run.model_dir)
    assert (model.config.head, processor.reads) == ("classifier", "pixels")
    few = {"name": "few_shot", "shots": 6, "epochs": 1, "batch_size": 4, "learning_rates": [1e-2]}
    adapted = runner.run(pixels(few, f"model.checkpoint={base}", file="few", start_from=str(run.folder)))
    assert set(adapted.record()["scores"]["test"]) == {"en", "tr"}


@pytest.mark.parametrize("contrastive", ["infonce", "sigmoid"])
def test_contrastive_adaptation(pixels: MakeRecipe, contrastive: str) -> None:
    trainer = {
        "name": "contrastive_adaptation", "inner_lr": 1e-2, "inner_steps": 2, "support_size": 6, "pairs": "all",
        "split": "auxiliary", "contrastive": contrastive,
    }  # fmt: skip
    record = runner.run(pixels(trainer)).record()
    assert list(record["adaptation"]["languages"]) == ["tr"]
    assert set(record["scores"]["test"]) == {"en", "tr"}


def test_a_killed_run_resumes_to_the_very_same_result(
    pixels: MakeRecipe,
    start: Callable[..., BaseProcess],
    same_run: Callable[[Run, Run], None],
    tmp_path: Path,
) -> None:
    """A worker process draws the pictures, and ends with the run."""
    made = pixels({"name": "xvl_maml", "workers": 1}, start_from="model")
    killed = start("at_call(MetaObjective, 'forward', 5, signal.SIGKILL)\nrunner.run(load_recipe(recipe))")
    killed.join(120)
    assert killed.exitcode == -signal.SIGKILL, (tmp_path / "log").read_text()
    expected = runner.run(made.model_copy(update={"runs": tmp_path / "whole"}))
    assert not Run(made.runs / expected.folder.name).is_finished
    same_run(runner.run(made), expected)


def test_a_run_is_known_by_the_weights_of_both_towers(recipe: MakeRecipe, tmp_path: Path) -> None:
    folders = {key: tmp_path / key for key in ("text", "vision")}
    for folder in folders.values():
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"1")
    made = recipe({"model": {"name": "dual_encoder", **{key: str(folder) for key, folder in folders.items()}}})
    prints = [plugins.model_fingerprint(made)]
    for folder in folders.values():
        (folder / "model.safetensors").write_bytes(b"22")
        prints.append(plugins.model_fingerprint(made))
    assert len(set(prints)) == 3 and None not in prints


def test_what_is_lacking_is_said_before_a_step(pixels: MakeRecipe, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder '.*nowhere'"):
        runner.run(pixels("finetune", f"model.checkpoint={tmp_path / 'nowhere'}"))
