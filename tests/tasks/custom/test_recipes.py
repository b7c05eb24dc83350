"""Recipes for a user's own data, which are checked against the data that they name."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from iglue_plugins.recipes.problems import RecipeError
from iglue_plugins.recipes.recipe import Recipe, load_recipe
from iglue_plugins.recipes.schema import schema

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]


@pytest.fixture
def recipe(tmp_path: Path, data: Path) -> Callable[..., Path]:
    def write(**changes: Any) -> Path:
        content = {"task": {"name": "custom/nli", "data": str(data)}, "model": "mini/xuniter", "trainer": "finetune"}
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(content | changes))
        return path

    return write


@pytest.fixture
def load(recipe: Callable[..., Path], row: Make, put: Write, describe: Write) -> Callable[..., Recipe]:
    put(row(), row(1, language="tr"), row(2, language="de"))
    describe(auxiliary_languages=["tr"], splits={"others": ["hard"]}, trainer_defaults={"finetune": {"steps": 7}})
    return lambda *overrides, **changes: load_recipe(recipe(**changes), overrides)


def problems(load: Callable[..., Recipe], *overrides: str, **changes: Any) -> list[str]:
    with pytest.raises(RecipeError) as raised:
        load(*overrides, **changes)
    return raised.value.problems


def test_the_facts_are_those_of_the_folder(load: Callable[..., Recipe], data: Path, tmp_path: Path) -> None:
    found = load()
    assert (found.source_language, found.auxiliary_languages) == ("en", ["tr"])
    assert found.evaluation.languages == ["en", "de", "tr"]
    assert found.task.settings == {"data": str(data)}
    assert found.trainer.settings["steps"] == 7
    assert load(trainer={"name": "finetune", "steps": 3}).trainer.settings["steps"] == 3
    assert load("evaluation.splits=[test, hard]").evaluation.splits == ["test", "hard"]
    before = load(trainer="xvl_maml").previous()
    assert before is not None and before.trainer.settings["steps"] == 7
    other = tmp_path / "other.yaml"
    other.write_text(f"root: {data}\npictures: images\nsource_language: de\n")
    assert load(f"task.data={other}").evaluation.languages == ["de", "en", "tr"]


def test_languages_and_splits_are_checked(load: Callable[..., Recipe], tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    changes = {"auxiliary_languages": ["fr"], "evaluation": {"splits": ["tset"], "languages": ["sw"]}}
    assert problems(load, **changes) == [
        f"{path}: auxiliary_languages.0: found 'fr', expected a language of task custom/nli; did you mean 'tr'?",
        f"{path}: evaluation.languages.0: found 'sw', expected a language of task custom/nli; choose from de, en, tr",
        f"{path}: evaluation.splits.0: found 'tset', expected a split of task custom/nli; did you mean 'test'?",
    ]


def test_problems_of_the_data_stand_among_those_of_the_recipe(
    load: Callable[..., Recipe], describe: Write, tmp_path: Path
) -> None:
    path, facts = tmp_path / "recipe.yaml", describe(language="en", max_boxes=0)
    assert problems(load, seed=-1, evaluation={"languages": ["sw"]}) == [
        f"{path}: {facts}: max_boxes: found 0, expected greater than or equal to 1",
        f"{path}: {facts}: language: found an unknown key, expected a key of the data of task custom/nli; did you mean "
        "'languages'?",
        f"{path}: seed: found -1, expected greater than or equal to 0",
    ]


def test_data_that_are_not_named(load: Callable[..., Recipe], tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    (line,) = problems(load, task="custom/nli", trainer="xvl_maml")
    assert line.startswith(f"{path}: task custom/nli needs data; set task.data in the recipe")
    (line,) = problems(load, task={"name": "custom/nli", "dta": "x"})
    assert line.startswith(f"{path}: task.dta: found an unknown key") and "did you mean 'data'?" in line
    (line,) = problems(load, "task.data=nowhere")
    assert "nowhere: no such file; task.data names a folder with task.yaml" in line


def test_no_auxiliary_language_is_taken_silently(load: Callable[..., Recipe], describe: Write) -> None:
    describe()
    assert load().auxiliary_languages == []
    (line,) = problems(load, trainer="xvl_maml")
    assert line.endswith(
        "auxiliary_languages: there are none besides source en, but trainer xvl_maml trains on them; name at least one"
    )


def test_the_schema_needs_no_data() -> None:
    _, *mappings = schema()["properties"]["task"]["anyOf"]
    fields = {mapping["properties"]["name"]["const"]: set(mapping["properties"]) for mapping in mappings}
    assert fields["custom/nli"] == {"name", "data"}
    assert fields["custom/retrieval"] == {"name", "data", "loss", "hard_negatives", "hard_negatives_file", "pool"}


def test_checking_a_recipe_imports_neither_torch_nor_datasets(load: Callable[..., Recipe], tmp_path: Path) -> None:
    load()
    code = (
        "import sys; from iglue_plugins.recipes.recipe import load_recipe; "
        f"recipe = load_recipe({str(tmp_path / 'recipe.yaml')!r}); "
        "heavy = {'torch', 'datasets'} & set(sys.modules); "
        "import json; print(json.dumps([recipe.evaluation.languages, *sorted(heavy)]))"
    )
    ended = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(ended.stdout) == [["en", "de", "tr"]]
