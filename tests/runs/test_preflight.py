"""What runs need, looked for before their first step."""

from __future__ import annotations

import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs import preflight, runner
from iglue_plugins.utils.errors import UserError

MakeRecipe = Callable[..., Recipe]


@pytest.fixture
def iglue(recipe: MakeRecipe, tmp_path: Path) -> MakeRecipe:
    """Gives a function that makes a recipe of XVNLI with data below tmp_path, where there are none."""

    def make(trainer: object, *overrides: str) -> Recipe:
        task = {"name": "xvnli", "data_root": str(tmp_path)}
        return recipe({"task": task, "trainer": trainer, "evaluation": {"languages": ["en", "ru"]}}, *overrides)

    return make


def test_all_that_the_stages_lack_is_said_at_once_before_anything_runs(
    iglue: MakeRecipe, fits: list[str], tmp_path: Path
) -> None:
    made = iglue("xvl_maml", "model.checkpoint=/no/model")
    with pytest.raises(UserError) as error:
        runner.run(made)
    first, *lines = str(error.value).split("\n")
    assert first == f"{len(lines)} things are lacking, so nothing was run:"
    for named in (
        "/no/model",
        f"{tmp_path}/XVNLI/annotations/en/train.jsonl: no such file",
        f"{tmp_path}/XVNLI/annotations/ar/train_48.jsonl: no such file",
        f"{tmp_path}/XVNLI/annotations/ru/test.jsonl: no such file",
        f"{tmp_path}/regions/flickr30k: holds no store of region features",
    ):
        assert sum(named in line for line in lines) == 1, named
    store = next(line for line in lines if "regions/flickr30k" in line)
    assert store.endswith("https://sid.erda.dk/sharelink/aW8MWVSlK1")
    assert (fits, made.runs.exists()) == ([], False)


def test_images_without_features_are_found_in_every_stage(
    recipe: MakeRecipe, fits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe({"trainer": "auxiliary_finetune"})
    task = preflight.make_task(made)
    task.load("auxiliary", "tr")
    position = task.regions.index

    def without_one(image_ids: list[str]) -> object:
        if "tiny/xvnli/auxiliary/3/0" in image_ids:
            raise UserError("no features")
        return position(image_ids)

    monkeypatch.setattr(task.regions, "index", without_one)
    with pytest.raises(UserError, match=r"auxiliary/tr: images: 24 images, 1 image \(tiny/xvnli/auxiliary/3/0\)"):
        runner.run(made)
    assert fits == []


def test_a_stage_that_is_finished_needs_nothing(recipe: MakeRecipe, fits: list[str], tiny_checkpoint: Path) -> None:
    model = recipe().runs.parent / "checkpoint"
    shutil.copytree(tiny_checkpoint, model)
    changes = {"model": {"name": "xuniter", "checkpoint": str(model)}}
    made = recipe(changes | {"trainer": "auxiliary_finetune"})
    assert [stage.trainer.name for stage in runner.unfinished_stages(made)] == ["finetune", "auxiliary_finetune"]
    runner.run(made.previous())
    assert [stage.trainer.name for stage in runner.unfinished_stages(made)] == ["auxiliary_finetune"]
    runner.run(made)
    assert runner.unfinished_stages(made) == []


def test_the_model_is_checked_before_its_weights_are_read(recipe: MakeRecipe, tiny_checkpoint: Path) -> None:
    model = recipe().runs.parent / "checkpoint"
    shutil.copytree(tiny_checkpoint, model)
    for file in ("tokenizer.json", "config.json"):
        (model / file).unlink()
        (sentence,) = preflight.lacking([recipe({"model": {"name": "xuniter", "checkpoint": str(model)}})])
        assert str(model) in sentence


def test_a_language_without_enough_examples_to_adapt_to(few_shot_recipe: MakeRecipe, fits: list[str]) -> None:
    with pytest.raises(UserError, match="task tiny/xvnli has no 99 shots"):
        runner.run(few_shot_recipe("trainer.shots=99"))
    assert fits == []


@pytest.mark.parametrize(
    ("trainer", "sentence"),
    [
        ({"name": "xvl_maml", "support_size": 20, "query_size": 20}, "24 training examples"),
        ({"name": "auxiliary_finetune", "batch_size": 25}, "24 training examples"),
        ({"name": "xvl_maml", "languages_per_step": 3}, "trainer.languages_per_step"),
    ],
)
def test_a_later_stage_with_too_few_examples_is_found_before_the_first(
    trainer: dict[str, object], sentence: str, recipe: MakeRecipe, fits: list[str]
) -> None:
    with pytest.raises(UserError, match=sentence):
        runner.run(recipe({"trainer": trainer}))
    assert fits == []


def test_a_full_disk_is_found_before_the_first_step(
    recipe: MakeRecipe, fits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(1000))
    with pytest.raises(UserError, match="runs: .* is on a disk with 0.0 GiB free, but .* of 2 stages take about"):
        runner.run(recipe({"trainer": "xvl_maml"}))
    assert fits == []
