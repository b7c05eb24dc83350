from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from iglue_plugins import registry
from iglue_plugins.recipes.problems import RecipeError
from iglue_plugins.recipes.recipe import Recipe, load_recipe
from iglue_plugins.recipes.schema import schema

pytestmark = pytest.mark.usefixtures("plugins")
BASE = "task: nli\nmodel: tiny\ntrainer: finetune\n"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """write(text, name) -> the file's name; the current folder is where it lies, so messages are short."""
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "r.yaml") -> str:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
        return name

    return write


def problems(path: str, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as error:
        load_recipe(path, overrides)
    assert str(error.value) == "\n".join(error.value.problems)
    return error.value.problems


# What a recipe resolves to


def test_defaults_come_from_task_and_trainer(write) -> None:
    recipe = load_recipe(write(BASE, "english.yaml"))
    assert recipe.to_dict() == {
        "name": "english",
        "task": {"name": "nli", "pairs": "aligned", "data_root": None},
        "model": {"name": "tiny", "layers": 2},
        "trainer": {"name": "finetune", "lr": 2e-5, "epochs": 10},
        "start_from": "model",
        "source_language": "en",
        "auxiliary_languages": ["ar"],
        "seed": 0,
        "evaluation": {
            "splits": ["test"],
            "languages": ["en", "ar", "fr", "ru"],
            "batch_size": 256,
            "precision": "float32",
            "compile": False,
        },
        "runs": "runs",
    }


def test_recipe_over_task_over_class_defaults(write) -> None:
    recipe = load_recipe(write("task: nli\nmodel: tiny\ntrainer: {name: finetune, lr: 1e-3}\n"))
    assert recipe.trainer.settings == {"lr": 0.001, "epochs": 10}
    meta = load_recipe(write(BASE), ["trainer=meta", "trainer.optimiser.betas=[0.8, 0.9]"])
    assert meta.trainer.settings["optimiser"] == {"betas": [0.8, 0.9], "weight_decay": 0.1}


def test_the_resolved_form_loads_to_the_same_recipe(write) -> None:
    recipe = load_recipe(write(BASE), ["trainer=meta", "seed=3", "evaluation.languages=[fr]"])
    assert load_recipe(write(yaml.safe_dump(recipe.to_dict()), "resolved.yaml")) == recipe
    json.dumps(recipe.to_dict())


def test_plugin_gives_class_and_settings(write) -> None:
    cls, settings = load_recipe(write(BASE), ["trainer=meta"]).plugin("trainer")
    assert isinstance(settings, cls.Settings)
    assert settings.optimiser.betas == (0.9, 0.999)


def test_null_means_the_default(write) -> None:
    recipe = load_recipe(write(BASE + "source_language: null\nevaluation: {languages: null}\nstart_from: null\n"))
    assert (recipe.source_language, recipe.start_from) == ("en", "model")
    assert recipe.evaluation.languages == ["en", "ar", "fr", "ru"]


# extends


def test_extends_merges_mappings_and_replaces_lists(write) -> None:
    base = "seed: 1\nauxiliary_languages: [ar, fr]\nevaluation: {splits: [val], batch_size: 8}\n"
    write(BASE + base, "shared/base.yaml")
    recipe = load_recipe(write("extends: shared/base.yaml\nauxiliary_languages: [ru]\nevaluation: {batch_size: 4}\n"))
    assert (recipe.seed, recipe.auxiliary_languages) == (1, ["ru"])
    assert (recipe.evaluation.splits, recipe.evaluation.batch_size) == (["val"], 4)


def test_another_trainer_drops_the_settings_of_the_old_one(write) -> None:
    write("task: nli\nmodel: tiny\ntrainer: {name: finetune, epochs: 5}\n", "base.yaml")
    for trainer in ("meta", "{name: meta}"):
        assert "epochs" not in load_recipe(write(f"extends: base.yaml\ntrainer: {trainer}\n")).trainer.settings
    for trainer in ("finetune", "{lr: 1.0}", "{name: finetune, lr: 1.0}"):
        assert load_recipe(write(f"extends: base.yaml\ntrainer: {trainer}\n")).trainer.settings["epochs"] == 5


def test_a_file_extended_twice_counts_once(write) -> None:
    write(BASE + "seed: 1\n", "base.yaml")
    write("extends: base.yaml\nseed: 2\n", "a.yaml")
    write("extends: base.yaml\nruns: elsewhere\n", "b.yaml")
    recipe = load_recipe(write("extends: [a.yaml, b.yaml]\n"))
    assert (recipe.seed, recipe.runs) == (2, Path("elsewhere"))


def test_a_recipe_that_extends_itself(write, tmp_path: Path) -> None:
    write("extends: b.yaml\n", "a.yaml")
    write("extends: a.yaml\n", "b.yaml")
    (line,) = problems("a.yaml")
    assert line.startswith("b.yaml: extends: ")
    assert f"{tmp_path}/a.yaml extends itself through {tmp_path}/b.yaml" in line


def test_extends_of_a_file_that_does_not_exist(write) -> None:
    write(BASE, "base.yaml")
    (line,) = problems(write("extends: bas.yaml\n"))
    assert line.startswith("r.yaml: extends: ")
    assert "'bas.yaml'" in line and "No such file or directory" in line and "did you mean 'base.yaml'?" in line


# YAML and the environment


def test_yaml_1_2_scalars(write) -> None:
    recipe = load_recipe(write("task: nli\nmodel: tiny\ntrainer: {name: meta, inner_lr: 1e-3}\nname: no\n"))
    assert (recipe.trainer.settings["inner_lr"], recipe.name) == (0.001, "no")
    assert load_recipe("r.yaml", ["trainer.inner_lr=1"]).trainer.settings["inner_lr"] == 1.0
    assert problems("r.yaml", "seed=010") == ["override 'seed=010': seed: found '010', expected a valid integer"]


def test_syntax_error_names_file_and_line(write) -> None:
    (line,) = problems(write("task: nli\nmodel: [tiny\ntrainer: x\n"))
    assert line.startswith("r.yaml: line 3: not valid YAML")


def test_duplicate_key(write) -> None:
    (line,) = problems(write(BASE + "evaluation:\n  splits: [val]\n  splits: [test]\n"))
    assert line.startswith("r.yaml: evaluation.splits: ") and "lines 5 and 6" in line


def test_keys_that_are_no_text(write) -> None:
    (line,) = problems(write(BASE + "evaluation: {1: x}\n"))
    assert line.startswith("r.yaml: evaluation.1: ") and "the key '1' on line 4" in line


def test_environment_variables_take_the_type_of_what_they_hold(write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEED", "7")
    monkeypatch.delenv("NOWHERE", raising=False)
    text = BASE + "seed: ${SEED}\nruns: '${NOWHERE:-elsewhere}/runs'\n"
    recipe = load_recipe(write(text))
    assert (recipe.seed, recipe.runs) == (7, Path("elsewhere/runs"))
    quoted = text.replace("${SEED}", "'${SEED}'")
    assert problems(write(quoted)) == ["r.yaml: seed: found '7', expected a valid integer"]


def test_unset_variable_is_reported_with_the_rest(write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY", "")
    text = "task: {name: nli, data_root: '${EMPTY}'}\nmodel: tiny\ntrainer: finetune\nseed: x\nruns: ${1}\n"
    assert problems(write(text)) == [
        "r.yaml: task.data_root: '${EMPTY}': set the environment variable EMPTY",
        "r.yaml: runs: found '${1}', expected ${VARIABLE} or ${VARIABLE:-default}",
        "r.yaml: seed: found 'x', expected a valid integer",
    ]


# Overrides


def test_overrides_in_any_order(write) -> None:
    write(BASE)
    for overrides in (["trainer=meta", "trainer.inner_lr=0.5"], ["trainer.inner_lr=0.5", "trainer=meta"]):
        assert load_recipe("r.yaml", overrides).trainer.settings["inner_lr"] == 0.5
    assert load_recipe("r.yaml", ["trainer.lr=0.5"]).trainer.settings["lr"] == 0.5


def test_overrides_are_named_as_the_source(write) -> None:
    write(BASE)
    assert problems("r.yaml", "trainer.lr=fast", "seed", "extends=b.yaml") == [
        "override 'seed': found 'seed', expected key.path=value",
        "override 'trainer.lr=fast': trainer.lr: found 'fast', expected a valid number",
        "override 'extends=b.yaml': extends: found an unknown key, expected a key of a recipe; choose from "
        "auxiliary_languages, evaluation, model, name, runs, seed, source_language, start_from, task, trainer",
    ]


# What is wrong


def test_all_problems_at_once_with_the_file_that_set_each(write) -> None:
    write("task: nli\nmodel: {name: tiny, layers: 0}\nseed: '3'\nsead: 1\n", "base.yaml")
    text = "extends: base.yaml\ntrainer: {name: meta, iner_lr: 1, optimiser: {beta: 1}, inner_steps: -1, shots: 0.5}\n"
    assert sorted(problems(write(text + "auxiliary_languages: [fr, de, en]\n"))) == [
        "base.yaml: model.layers: found 0, expected greater than or equal to 1",
        "base.yaml: sead: found an unknown key, expected a key of a recipe; did you mean 'seed'?",
        "base.yaml: seed: found '3', expected a valid integer",
        "r.yaml: auxiliary_languages.1: found 'de', expected a language of task nli; did you mean 'en'?",
        "r.yaml: auxiliary_languages.2: 'en' is the source language; name other languages",
        "r.yaml: trainer.iner_lr: found an unknown key, expected a key of trainer meta; did you mean 'inner_lr'?",
        "r.yaml: trainer.inner_steps: found -1: expected at least 0 inner steps",
        "r.yaml: trainer.optimiser.beta: found an unknown key, expected a key of trainer meta; did you mean 'betas'?",
        "r.yaml: trainer.shots: found 0.5, expected a valid integer or 'all'",
    ]


def test_settings_that_do_not_go_together(write) -> None:
    text = "task: nli\nmodel: tiny\ntrainer: {name: meta, first_order: true, inner_steps: 0}\n"
    assert problems(write(text)) == ["r.yaml: trainer: first_order is set, expected at least one inner step"]


def test_unknown_and_missing_plugins(write) -> None:
    write("task: nlu\nmodel: 3\n", "base.yaml")
    assert problems(write("extends: base.yaml\ntask: {pairs: all}\n")) == [
        "base.yaml: task: there is no task 'nlu'; did you mean 'nli'?",
        "base.yaml: model: found 3, expected a name, or a mapping with name and settings",
        "r.yaml: trainer: found nothing, expected the name of a trainer; choose from finetune, meta",
    ]


def test_task_defaults_that_a_trainer_does_not_have_name_the_task(write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.tasks.get("nli"), "trainer_defaults", {"finetune": {"lr": -1}})
    assert problems(write(BASE)) == ["trainer_defaults of task nli: trainer.lr: found -1, expected greater than 0"]


def test_languages_and_splits(write) -> None:
    assert problems(write(BASE + "source_language: ar\nevaluation: {splits: [dev], languages: []}\n")) == [
        "r.yaml: evaluation.splits.0: found 'dev', expected a split of task nli; choose from test, train, val",
        "r.yaml: source_language: 'ar' is one of the task's auxiliary languages; set auxiliary_languages to others",
        "r.yaml: evaluation.languages: found [], expected a list to have at least 1 item after validation, not 0",
    ]
    (line,) = problems(write(BASE + "auxiliary_languages: [fr, fr]\n"))
    assert line.startswith("r.yaml: auxiliary_languages.1: 'fr' stands twice")


def test_auxiliary_trainers_need_auxiliary_languages(write) -> None:
    write(BASE + "auxiliary_languages: []\n")
    load_recipe("r.yaml")
    (line,) = problems("r.yaml", "trainer=meta")
    assert line.startswith("r.yaml: auxiliary_languages: ") and "trainer meta" in line and "at least one" in line


def test_a_word_where_a_list_belongs(write) -> None:
    assert problems(write(BASE + "evaluation: {splits: test}\n")) == [
        "r.yaml: evaluation.splits: found 'test', expected a list"
    ]


@pytest.mark.parametrize("name", ["a/b", "..", "", "-x"])
def test_names_that_are_no_folder(write, name: str) -> None:
    (line,) = problems(write(BASE), f"name='{name}'")
    assert f"name: found '{name}', expected a string to match pattern" in line


@pytest.mark.parametrize(("text", "found"), [("- a\n", "['a']"), ("text\n", "'text'")])
def test_a_file_that_is_no_mapping(write, text: str, found: str) -> None:
    assert problems(write(text)) == [f"r.yaml: found {found}, expected a mapping with task, model and trainer"]


# Stages


def test_previous_of_finetune(write) -> None:
    recipe = load_recipe(write(BASE), ["trainer=meta", "seed=4", "runs=elsewhere", "evaluation.languages=[fr]"])
    assert recipe.start_from == "finetune"
    previous = recipe.previous()
    common = ["seed=4", "runs=elsewhere", "evaluation.languages=[fr]"]
    assert previous == load_recipe("r.yaml", ["name=finetune", *common])
    assert previous.previous() is None


def test_previous_of_a_recipe_file_relative_to_the_file_that_names_it(write, tmp_path: Path) -> None:
    write(BASE + "seed: 9\n", "en.yaml")
    write("extends: ../en.yaml\nstart_from: ../en.yaml\ntrainer: meta\n", "sub/meta.yaml")
    recipe = load_recipe(write("extends: sub/meta.yaml\n"), ["runs=elsewhere", "seed=5"])
    assert recipe.start_from == str(tmp_path / "en.yaml")
    previous = recipe.previous()
    assert (previous.name, previous.trainer.name) == ("en", "finetune")
    assert (previous.seed, previous.runs) == (5, Path("elsewhere"))


def test_previous_of_a_folder_is_none(write) -> None:
    Path(write(BASE)).parent.joinpath("runs").mkdir()
    assert load_recipe("r.yaml", ["start_from=runs"]).previous() is None


def test_start_from_that_does_not_exist(write, tmp_path: Path) -> None:
    (line,) = problems(write(BASE + "start_from: finetun\n"))
    assert line.startswith(f"r.yaml: start_from: '{tmp_path}/finetun' does not exist")
    assert line.endswith("did you mean 'finetune'?")


def test_a_recipe_that_starts_from_itself(write, tmp_path: Path) -> None:
    write(BASE + "start_from: b.yaml\n", "a.yaml")
    write(BASE + "start_from: a.yaml\n", "b.yaml")
    (line,) = problems("a.yaml")
    assert f"{tmp_path}/a.yaml starts from itself through {tmp_path}/b.yaml" in line
    (line,) = problems("a.yaml", "seed=1")
    assert f"{tmp_path}/b.yaml starts from itself through {tmp_path}/a.yaml" in line


def test_an_overridden_recipe_may_start_from_its_own_file(write) -> None:
    recipe = load_recipe(write(BASE), ["trainer=meta", "start_from=r.yaml"])
    assert recipe.previous() == load_recipe("r.yaml")


# Schema


def test_schema_describes_the_file_form(write) -> None:
    made = schema()
    assert set(made["properties"]) == {"extends", *Recipe.model_fields}
    names, finetune, meta = made["properties"]["trainer"]["anyOf"]
    assert names == {"type": "string", "enum": ["finetune", "meta"]}
    assert meta["properties"]["name"] == {"const": "meta"}
    assert finetune["properties"]["lr"]["exclusiveMinimum"] == 0
    assert meta["additionalProperties"] is False
    reference = meta["properties"]["optimiser"]["$ref"].removeprefix("#/$defs/")
    assert set(made["$defs"][reference]["properties"]) == {"betas", "weight_decay"}
    json.dumps(made)
