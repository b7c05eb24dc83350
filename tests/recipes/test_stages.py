"""The stage before a recipe, which its `start_from` names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from iglue_plugins import registry
from iglue_plugins.recipes.recipe import load_recipe

pytestmark = pytest.mark.usefixtures("plugins")
BASE = "task: nli\nmodel: tiny\ntrainer: finetune\n"
Write = Callable[..., str]
FindProblems = Callable[..., list[str]]


def test_previous_of_finetune(write: Write) -> None:
    recipe = load_recipe(write(BASE), ["trainer=meta", "seed=4", "runs=elsewhere", "evaluation.languages=[fr]"])
    assert recipe.start_from == "finetune"
    previous = recipe.previous()
    common = ["seed=4", "runs=elsewhere", "evaluation.languages=[fr]"]
    assert previous == load_recipe("r.yaml", ["name=finetune", *common])
    assert previous.previous() is None


def test_previous_of_a_recipe_file_relative_to_the_file_that_names_it(write: Write, tmp_path: Path) -> None:
    write(BASE + "seed: 9\n", "en.yaml")
    write("extends: ../en.yaml\nstart_from: ../en.yaml\ntrainer: meta\n", "sub/meta.yaml")
    recipe = load_recipe(write("extends: sub/meta.yaml\n"), ["runs=elsewhere", "seed=5"])
    assert recipe.start_from == str(tmp_path / "en.yaml")
    previous = recipe.previous()
    assert (previous.name, previous.trainer.name) == ("en", "finetune")
    assert (previous.seed, previous.runs) == (5, Path("elsewhere"))


def test_previous_of_a_folder_is_none(write: Write) -> None:
    Path(write(BASE)).parent.joinpath("runs").mkdir()
    assert load_recipe("r.yaml", ["start_from=runs"]).previous() is None


def test_start_from_that_does_not_exist(write: Write, problems: FindProblems, tmp_path: Path) -> None:
    (line,) = problems(write(BASE + "start_from: finetun\n"))
    assert line.startswith(f"r.yaml: start_from: '{tmp_path}/finetun' does not exist")
    assert line.endswith("did you mean 'finetune'?")


def test_a_recipe_that_starts_from_itself(write: Write, problems: FindProblems, tmp_path: Path) -> None:
    write(BASE + "start_from: b.yaml\n", "a.yaml")
    write(BASE + "start_from: a.yaml\n", "b.yaml")
    (line,) = problems("a.yaml")
    assert f"{tmp_path}/a.yaml starts from itself through {tmp_path}/b.yaml" in line
    (line,) = problems("a.yaml", "seed=1")
    assert f"{tmp_path}/b.yaml starts from itself through {tmp_path}/a.yaml" in line


def test_an_overridden_recipe_may_start_from_its_own_file(write: Write) -> None:
    recipe = load_recipe(write(BASE), ["trainer=meta", "start_from=r.yaml"])
    assert recipe.previous() == load_recipe("r.yaml")


@pytest.fixture
def more_plugins(plugins: None) -> None:
    """Registers a trainer with settings of both others, another task, and another model."""
    meta, task, model = registry.trainers.get("meta"), registry.tasks.get("nli"), registry.models.get("tiny")

    class Both(meta):
        class Settings(meta.Settings):
            lr: float = 1e-4

    registry.trainers.register("both")(Both)
    registry.tasks.register("vqa")(type("Vqa", (task,), {}))
    registry.models.register("big")(type("Big", (model,), {}))


def test_an_override_reaches_every_stage_that_it_means_something_for(more_plugins: None, write: Write) -> None:
    write(BASE, "en.yaml")
    write("extends: en.yaml\nstart_from: en.yaml\ntrainer: both\n", "meta.yaml")
    recipe = load_recipe(
        write("extends: en.yaml\nstart_from: meta.yaml\ntrainer: both\n"),
        ["task.pairs=all", "model.layers=3", "source_language=fr", "auxiliary_languages=[ru]", "trainer.lr=1"],
    )
    stages = [recipe, recipe.previous(), recipe.previous().previous()]
    for stage in stages:
        assert (stage.task.settings["pairs"], stage.model.settings["layers"]) == ("all", 3)
        assert (stage.source_language, stage.auxiliary_languages) == ("fr", ["ru"])
    assert [stage.trainer.settings["lr"] for stage in stages] == [1, 1e-4, 2e-5]


def test_a_setting_for_all_recipes_reaches_the_trainers_that_have_it(more_plugins: None, write: Write) -> None:
    write(BASE, "en.yaml")
    write("extends: en.yaml\nstart_from: finetune\ntrainer: both\n", "meta.yaml")
    write("extends: en.yaml\nstart_from: meta.yaml\ntrainer: both\n")
    recipe = load_recipe("r.yaml", ["seed=3"], ["trainer.lr=1", "trainer.inner_lr=0.5"])
    meta = recipe.previous()
    english = meta.previous()
    assert [stage.trainer.settings["lr"] for stage in (recipe, meta, english)] == [1, 1, 1]
    assert [stage.trainer.settings.get("inner_lr") for stage in (recipe, meta, english)] == [0.5, 0.5, None]
    assert {stage.seed for stage in (recipe, meta, english)} == {3}
    assert english == load_recipe("en.yaml", ["name=finetune", "seed=3", "trainer.lr=1"])


def test_an_override_does_not_reach_a_stage_with_another_task_or_model(more_plugins: None, write: Write) -> None:
    write("task: vqa\nmodel: tiny\ntrainer: finetune\n", "other.yaml")
    recipe = load_recipe(write(BASE + "start_from: other.yaml\n"), ["task.pairs=all", "model.layers=3"])
    assert recipe.previous() == load_recipe("other.yaml", ["model.layers=3"])


def test_another_model_reaches_the_stage_before(more_plugins: None, write: Write) -> None:
    write(BASE, "en.yaml")
    recipe = load_recipe(write("extends: en.yaml\nstart_from: en.yaml\ntrainer: both\n"), ["model=big"])
    assert recipe.previous().model.name == "big"


def test_a_resolved_recipe_has_the_same_stages(more_plugins: None, write: Write) -> None:
    write(BASE, "en.yaml")
    recipe = load_recipe(write("extends: en.yaml\nstart_from: en.yaml\ntrainer: both\n"), ["task.pairs=all"])
    again = load_recipe(write(yaml.safe_dump(recipe.to_dict()), "again.yaml"))
    assert again == recipe
    assert again.previous() == recipe.previous() != load_recipe("en.yaml")


def test_settings_of_the_stage_before_may_stand_in_the_file(
    more_plugins: None, write: Write, problems: FindProblems
) -> None:
    write(BASE, "en.yaml")
    text = "extends: en.yaml\nstart_from: en.yaml\ntrainer: both\nstart_from_settings: [{}]\n"
    assert load_recipe(write(text.format("trainer.lr=1"))).previous().trainer.settings["lr"] == 1
    (line,) = problems(write(text.format("task.pears=all")))
    assert line.startswith("override 'task.pears=all': task.pears: ")
