"""Resolved recipes: defaults, extended files, environment variables and overrides."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from iglue_plugins.recipes.recipe import load_recipe

pytestmark = pytest.mark.usefixtures("plugins")
BASE = "task: nli\nmodel: tiny\ntrainer: finetune\n"
Write = Callable[..., str]
FindProblems = Callable[..., list[str]]


# What a recipe resolves to


def test_defaults_come_from_task_and_trainer(write: Write) -> None:
    recipe = load_recipe(write(BASE, "english.yaml"))
    assert recipe.to_dict() == {
        "name": "english",
        "task": {"name": "nli", "pairs": "aligned", "data_root": None},
        "model": {"name": "tiny", "layers": 2},
        "trainer": {"name": "finetune", "lr": 2e-5, "epochs": 10},
        "start_from": "model",
        "start_from_settings": [],
        "source_language": "en",
        "auxiliary_languages": ["ar"],
        "seed": 0,
        "evaluation": {
            "splits": ["test"],
            "languages": ["en", "ar", "fr", "ru"],
            "batch_size": 256,
            "precision": "float32",
            "compile": False,
            "workers": "auto",
        },
        "runs": "runs",
    }


def test_recipe_over_task_over_class_defaults(write: Write) -> None:
    recipe = load_recipe(write("task: nli\nmodel: tiny\ntrainer: {name: finetune, lr: 1e-3}\n"))
    assert recipe.trainer.settings == {"lr": 0.001, "epochs": 10}
    meta = load_recipe(write(BASE), ["trainer=meta", "trainer.optimiser.betas=[0.8, 0.9]"])
    assert meta.trainer.settings["optimiser"] == {"betas": [0.8, 0.9], "weight_decay": 0.1}


def test_the_resolved_form_loads_to_the_same_recipe(write: Write) -> None:
    recipe = load_recipe(write(BASE), ["trainer=meta", "seed=3", "evaluation.languages=[fr]"])
    assert load_recipe(write(yaml.safe_dump(recipe.to_dict()), "resolved.yaml")) == recipe
    json.dumps(recipe.to_dict())


def test_plugin_gives_class_and_settings(write: Write) -> None:
    cls, settings = load_recipe(write(BASE), ["trainer=meta"]).plugin("trainer")
    assert isinstance(settings, cls.Settings)
    assert settings.optimiser.betas == (0.9, 0.999)


def test_null_means_the_default(write: Write) -> None:
    recipe = load_recipe(write(BASE + "source_language: null\nevaluation: {languages: null}\nstart_from: null\n"))
    assert (recipe.source_language, recipe.start_from) == ("en", "model")
    assert recipe.evaluation.languages == ["en", "ar", "fr", "ru"]


def test_sources_are_one_language_or_several(write: Write, problems: FindProblems) -> None:
    assert load_recipe(write(BASE), ["source_language=[en, fr]"]).source_languages == ("en", "fr")
    one = load_recipe(write(BASE), ["source_language=[fr]"])
    arabic = load_recipe(write(BASE), ["source_language=[en, ar]"])
    assert arabic.auxiliary_languages == []  # the task's default, Arabic, is a source
    assert (one.source_language, one) == ("fr", load_recipe(write(BASE), ["source_language=fr"]))
    for value, sentence in {
        "[]": "source_language: the list is empty; name at least one language",
        "[en, fr, en]": "source_language.2: 'en' stands twice; name each language once",
        "[en, xx]": "source_language.1: found 'xx', expected a language of task",
    }.items():
        (problem,) = problems(write(BASE), f"source_language={value}")
        assert f": {sentence}" in problem, problem


# extends


def test_extends_merges_mappings_and_replaces_lists(write: Write) -> None:
    base = "seed: 1\nauxiliary_languages: [ar, fr]\nevaluation: {splits: [val], batch_size: 8}\n"
    write(BASE + base, "shared/base.yaml")
    recipe = load_recipe(write("extends: shared/base.yaml\nauxiliary_languages: [ru]\nevaluation: {batch_size: 4}\n"))
    assert (recipe.seed, recipe.auxiliary_languages) == (1, ["ru"])
    assert (recipe.evaluation.splits, recipe.evaluation.batch_size) == (["val"], 4)


def test_another_trainer_drops_the_settings_of_the_old_one(write: Write) -> None:
    write("task: nli\nmodel: tiny\ntrainer: {name: finetune, epochs: 5}\n", "base.yaml")
    for trainer in ("meta", "{name: meta}"):
        assert "epochs" not in load_recipe(write(f"extends: base.yaml\ntrainer: {trainer}\n")).trainer.settings
    for trainer in ("finetune", "{lr: 1.0}", "{name: finetune, lr: 1.0}"):
        assert load_recipe(write(f"extends: base.yaml\ntrainer: {trainer}\n")).trainer.settings["epochs"] == 5


def test_a_file_extended_twice_counts_once(write: Write) -> None:
    write(BASE + "seed: 1\n", "base.yaml")
    write("extends: base.yaml\nseed: 2\n", "a.yaml")
    write("extends: base.yaml\nruns: elsewhere\n", "b.yaml")
    recipe = load_recipe(write("extends: [a.yaml, b.yaml]\n"))
    assert (recipe.seed, recipe.runs) == (2, Path("elsewhere"))


def test_a_recipe_that_extends_itself(write: Write, problems: FindProblems, tmp_path: Path) -> None:
    write("extends: b.yaml\n", "a.yaml")
    write("extends: a.yaml\n", "b.yaml")
    (line,) = problems("a.yaml")
    assert line.startswith("b.yaml: extends: ")
    assert f"{tmp_path}/a.yaml extends itself through {tmp_path}/b.yaml" in line


def test_extends_of_a_file_that_does_not_exist(write: Write, problems: FindProblems) -> None:
    write(BASE, "base.yaml")
    (line,) = problems(write("extends: bas.yaml\n"))
    assert line.startswith("r.yaml: extends: ")
    assert "'bas.yaml'" in line and "No such file or directory" in line and "did you mean 'base.yaml'?" in line


# YAML and the environment


def test_yaml_1_2_scalars(write: Write, problems: FindProblems) -> None:
    recipe = load_recipe(write("task: nli\nmodel: tiny\ntrainer: {name: meta, inner_lr: 1e-3}\nname: no\n"))
    assert (recipe.trainer.settings["inner_lr"], recipe.name) == (0.001, "no")
    assert load_recipe("r.yaml", ["trainer.inner_lr=1"]).trainer.settings["inner_lr"] == 1.0
    assert problems("r.yaml", "seed=010") == ["override 'seed=010': seed: found '010', expected a valid integer"]


def test_syntax_error_names_file_and_line(write: Write, problems: FindProblems) -> None:
    (line,) = problems(write("task: nli\nmodel: [tiny\ntrainer: x\n"))
    assert line.startswith("r.yaml: line 3: not valid YAML")


def test_duplicate_key(write: Write, problems: FindProblems) -> None:
    (line,) = problems(write(BASE + "evaluation:\n  splits: [val]\n  splits: [test]\n"))
    assert line.startswith("r.yaml: evaluation.splits: ") and "lines 5 and 6" in line


def test_keys_that_are_not_text(write: Write, problems: FindProblems) -> None:
    (line,) = problems(write(BASE + "evaluation: {1: x}\n"))
    assert line.startswith("r.yaml: evaluation.1: ") and "the key '1' on line 4" in line


def test_environment_variables_take_the_type_of_what_they_hold(
    write: Write, problems: FindProblems, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEED", "7")
    monkeypatch.delenv("NOWHERE", raising=False)
    text = BASE + "seed: ${SEED}\nruns: '${NOWHERE:-elsewhere}/runs'\n"
    recipe = load_recipe(write(text))
    assert (recipe.seed, recipe.runs) == (7, Path("elsewhere/runs"))
    quoted = text.replace("${SEED}", "'${SEED}'")
    assert problems(write(quoted)) == ["r.yaml: seed: found '7', expected a valid integer; write it without quotes"]


def test_environment_variables_in_braces_and_brackets(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LR", "1e-4")
    monkeypatch.setenv("LANGUAGE", "ar")
    text = "task: nli\nmodel: tiny\ntrainer: {name: meta, inner_lr: ${LR}, inner_steps: ${NONE:-3} }\n"
    recipe = load_recipe(
        write(text + "auxiliary_languages: [${LANGUAGE}, ru]\n"), ["evaluation={languages: [${LANGUAGE}]}"]
    )
    assert (recipe.trainer.settings["inner_lr"], recipe.trainer.settings["inner_steps"]) == (1e-4, 3)
    assert (recipe.auxiliary_languages, recipe.evaluation.languages) == (["ar", "ru"], ["ar"])


def test_unset_variable_is_reported_with_the_rest(
    write: Write, problems: FindProblems, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMPTY", "")
    text = "task: {name: nli, data_root: '${EMPTY}'}\nmodel: tiny\ntrainer: finetune\nseed: x\nruns: ${1}\n"
    assert problems(write(text)) == [
        "r.yaml: task.data_root: '${EMPTY}': set the environment variable EMPTY",
        "r.yaml: runs: found '${1}', expected ${VARIABLE} or ${VARIABLE:-default}",
        "r.yaml: seed: found 'x', expected a valid integer",
    ]


# Overrides


def test_overrides_in_any_order(write: Write) -> None:
    write(BASE)
    for overrides in (["trainer=meta", "trainer.inner_lr=0.5"], ["trainer.inner_lr=0.5", "trainer=meta"]):
        assert load_recipe("r.yaml", overrides).trainer.settings["inner_lr"] == 0.5
    assert load_recipe("r.yaml", ["trainer.lr=0.5"]).trainer.settings["lr"] == 0.5


def test_overrides_are_named_as_the_source(write: Write, problems: FindProblems) -> None:
    write(BASE)
    assert problems("r.yaml", "trainer.lr=fast", "seed", "extends=b.yaml") == [
        "override 'seed': found 'seed', expected key.path=value",
        "override 'trainer.lr=fast': trainer.lr: found 'fast', expected a valid number",
        "override 'extends=b.yaml': extends: found an unknown key, expected a key of a recipe; choose from "
        "auxiliary_languages, evaluation, limit, model, name, runs, seed, source_language, start_from, "
        "start_from_settings, task, trainer",
    ]
