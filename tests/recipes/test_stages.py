"""The stage before a recipe, which its `start_from` names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

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
