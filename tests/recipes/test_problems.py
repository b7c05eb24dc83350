"""Problems of a recipe, with the file, the key and the value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from iglue_plugins import registry
from iglue_plugins.recipes.recipe import load_recipe

pytestmark = pytest.mark.usefixtures("plugins")
BASE = "task: nli\nmodel: tiny\ntrainer: finetune\n"
Write = Callable[..., str]
FindProblems = Callable[..., list[str]]


def test_all_problems_at_once_with_the_file_that_set_each(write: Write, problems: FindProblems) -> None:
    write("task: nli\nmodel: {name: tiny, layers: 0}\nseed: '3'\nsead: 1\n", "base.yaml")
    text = "extends: base.yaml\ntrainer: {name: meta, iner_lr: 1, optimiser: {beta: 1}, inner_steps: -1, shots: 0.5}\n"
    assert sorted(problems(write(text + "auxiliary_languages: [fr, de, en]\n"))) == [
        "base.yaml: model.layers: found 0, expected greater than or equal to 1",
        "base.yaml: sead: found an unknown key, expected a key of a recipe; did you mean 'seed'?",
        "base.yaml: seed: found '3', expected a valid integer; write it without quotes",
        "r.yaml: auxiliary_languages.1: found 'de', expected a language of task nli; did you mean 'en'?",
        "r.yaml: auxiliary_languages.2: 'en' is the source language; name other languages",
        "r.yaml: trainer.iner_lr: found an unknown key, expected a key of trainer meta; did you mean 'inner_lr'?",
        "r.yaml: trainer.inner_steps: found -1: expected at least 0 inner steps",
        "r.yaml: trainer.optimiser.beta: found an unknown key, expected a key of trainer meta; did you mean 'betas'?",
        "r.yaml: trainer.shots: found 0.5, expected a valid integer or 'all'",
    ]


def test_settings_that_contradict_each_other(write: Write, problems: FindProblems) -> None:
    text = "task: nli\nmodel: tiny\ntrainer: {name: meta, first_order: true, inner_steps: 0}\n"
    assert problems(write(text)) == ["r.yaml: trainer: first_order is set, expected at least one inner step"]


def test_unknown_and_missing_plugins(write: Write, problems: FindProblems) -> None:
    write("task: nlu\nmodel: 3\n", "base.yaml")
    assert problems(write("extends: base.yaml\ntask: {pairs: all}\n")) == [
        "base.yaml: task: there is no task 'nlu'; did you mean 'nli'?",
        "base.yaml: model: found 3, expected a name, or a mapping with name and settings",
        "r.yaml: trainer: found nothing, expected the name of a trainer; choose from finetune, meta",
    ]


def test_task_defaults_that_a_trainer_does_not_have_name_the_task(
    write: Write, problems: FindProblems, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.tasks.get("nli"), "trainer_defaults", {"finetune": {"lr": -1}})
    assert problems(write(BASE)) == ["trainer_defaults of task nli: trainer.lr: found -1, expected greater than 0"]


def test_languages_and_splits(write: Write, problems: FindProblems) -> None:
    assert problems(write(BASE + "evaluation: {splits: [dev], languages: []}\n")) == [
        "r.yaml: evaluation.splits.0: found 'dev', expected a split of task nli; choose from test, train, val",
        "r.yaml: evaluation.languages: found [], expected a list to have at least 1 item after validation, not 0",
    ]
    (line,) = problems(write(BASE.replace("finetune", "meta") + "source_language: ar\n"))
    assert line.startswith("r.yaml: auxiliary_languages: there are none besides source ar, but trainer meta trains on")
    (line,) = problems(write(BASE + "auxiliary_languages: [fr, fr]\n"))
    assert line.startswith("r.yaml: auxiliary_languages.1: 'fr' stands twice")


def test_auxiliary_trainers_need_auxiliary_languages(write: Write, problems: FindProblems) -> None:
    write(BASE + "auxiliary_languages: []\n")
    load_recipe("r.yaml")
    (line,) = problems("r.yaml", "trainer=meta")
    assert line.startswith("r.yaml: auxiliary_languages: ") and "trainer meta" in line and "at least one" in line


def test_a_string_instead_of_a_list(write: Write, problems: FindProblems) -> None:
    assert problems(write(BASE + "evaluation: {splits: test}\n")) == [
        "r.yaml: evaluation.splits: found 'test', expected a list"
    ]


@pytest.mark.parametrize("name", ["a/b", "..", "", "-x"])
def test_names_that_cannot_name_a_folder(write: Write, problems: FindProblems, name: str) -> None:
    (line,) = problems(write(BASE), f"name='{name}'")
    assert f"name: found '{name}', expected a string to match pattern" in line


@pytest.mark.parametrize(("text", "found"), [("- a\n", "['a']"), ("text\n", "'text'")])
def test_a_file_that_is_not_a_mapping(write: Write, problems: FindProblems, text: str, found: str) -> None:
    assert problems(write(text)) == [f"r.yaml: found {found}, expected a mapping with task, model and trainer"]


@pytest.mark.parametrize(
    ("line", "fact"),
    [
        ("seed: &a [*a]", "holds itself"),
        ("seed: !!int ten", "ten"),
        ("seed: !!timestamp 2024-01-01", "!!timestamp"),
        (f"seed: {'[' * 3000}", "nested too deeply"),
        (f"seed: {'[' * 3000}{']' * 3000}", "nested too deeply"),
    ],
)
def test_yaml_that_is_no_plain_data_is_named(write: Write, problems: FindProblems, line: str, fact: str) -> None:
    (problem,) = problems(write(f"{BASE}{line}\n"))
    assert problem.startswith("r.yaml:") and fact in problem


def test_a_variable_without_braces_is_named(write: Write, problems: FindProblems) -> None:
    (problem,) = problems(write(f"{BASE}runs: $HOME/runs\n"))
    assert problem.startswith("r.yaml: runs: ") and "${HOME}" in problem


def test_a_path_may_begin_at_home(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for text in (f"{BASE}runs: ~/runs\n", f"{BASE}runs: ${{NOWHERE:-~/runs}}\n"):
        assert load_recipe(write(text)).runs == tmp_path / "runs"
    assert load_recipe(write(BASE), ["runs=~/others"]).runs == tmp_path / "others"
