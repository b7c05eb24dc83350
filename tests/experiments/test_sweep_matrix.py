"""One recipe with many settings: which rows there are, what runs, and what is refused before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iglue_plugins.experiments import axes, launcher, sweep
from iglue_plugins.experiments.launcher import Launch
from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs import preflight
from iglue_plugins.utils.errors import UserError


@pytest.fixture
def recipe(write: Callable[..., Path]) -> Callable[..., Path]:
    """Writes row.yaml, which starts from before.yaml, with changes."""

    def make(**changes: Any) -> Path:
        write("before", trainer={"name": "finetune", "steps": 1, "batch_size": 8})
        evaluation = {"splits": ["dev"], "languages": ["en", "tr", "de", "sw"]}
        return write("row", **{"start_from": "before.yaml", "evaluation": evaluation} | changes)

    return make


def test_without_values_every_language_with_auxiliary_data_is_swept(
    recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def lacking(row: Any) -> None:
        if row.auxiliary_languages[0] in ("ja", "zh"):
            raise UserError("no such file")

    monkeypatch.setattr(preflight, "check_examples", lacking)
    axis = axes.every_language(load_recipe(recipe()))
    assert (axis.key, axis.values) == (
        "auxiliary_languages",
        ("ar", "bn", "de", "es", "fr", "id", "ko", "pt", "ru", "sw", "ta", "tr"),
    )
    assert capsys.readouterr().err == "iglue: left out, for want of auxiliary data: ja, zh\n"


def test_values_in_brackets_are_one() -> None:
    axis = axes.parse_axis("trainer.learning_rates=[1e-4, 5e-5],[1e-5]")
    assert axis.values == ("[1e-4, 5e-5]", "[1e-5]")
    assert axis.override(axis.values[0]) == "trainer.learning_rates=[1e-4, 5e-5]"


def combined(path: Path, *over: str) -> list[sweep.Combination]:
    return sweep.combine(path, [axes.parse_axis(text) for text in over], [0, 1], [])


def test_several_keys_give_every_combination(recipe: Callable[..., Path]) -> None:
    combinations = combined(recipe(), "auxiliary_languages=tr,tr+de", "trainer.steps=1,2")
    assert [combination.label for combination in combinations] == [
        "tr, steps=1",
        "tr, steps=2",
        "tr+de, steps=1",
        "tr+de, steps=2",
    ]
    last = combinations[-1]
    assert last.values == {"auxiliary_languages": "tr+de", "trainer.steps": "2"}
    assert [
        (recipe.name, recipe.seed, recipe.auxiliary_languages, recipe.trainer.settings["steps"])
        for recipe in last.recipes
    ] == [("row_tr+de-steps-2", seed, ["tr", "de"], 2) for seed in (0, 1)]


@pytest.mark.parametrize(
    ("changes", "over", "names"),
    [
        ({}, "trainer.steps=1,2", ["before", "before"]),
        ({"start_from": "finetune"}, "auxiliary_languages=tr,ru", ["finetune", "finetune"]),
        ({"start_from": "model"}, "trainer.steps=1,2", []),
        ({"start_from": "finetune"}, "model.tokenizer=null,x", []),
    ],
    ids=["a recipe", "finetune", "no recipe", "not the same one"],
)
def test_the_baseline_is_the_recipe_that_all_start_from(
    recipe: Callable[..., Path], changes: dict[str, Any], over: str, names: list[str]
) -> None:
    stages = sweep.baseline(combined(recipe(**changes), over))
    assert [stage.name for stage in stages] == names
    assert [stage.seed for stage in stages] == list(range(len(names)))


def test_a_row_with_the_name_of_the_baseline(recipe: Callable[..., Path], tmp_path: Path) -> None:
    path = recipe(start_from="tr.yaml")
    (tmp_path / "before.yaml").rename(tmp_path / "tr.yaml")
    with pytest.raises(UserError, match="--over: 'tr' .*stage before.* name, 'tr'"):
        sweep.baseline(combined(path, "auxiliary_languages=ru,tr"))


@pytest.mark.parametrize(
    ("over", "place", "facts"),
    [
        (["auxiliary_languages"], "--over: 'auxiliary_languages'", ["KEY=V1,V2"]),
        (["=tr"], "--over: '=tr'", ["KEY=V1,V2"]),
        (["trainer.steps=1,,2"], "--over: 'trainer.steps=1,,2'", ["KEY=V1,V2"]),
        (["auxiliary_languages=tr+"], "--over: 'auxiliary_languages=tr+'", ["KEY=V1,V2"]),
        (["auxiliary_languages=tr,ru,tr"], "--over auxiliary_languages: 'tr'", ["each value once"]),
        (["auxiliary_languages=tr+ru,ru+tr"], "--over auxiliary_languages: 'ru+tr'", ["'tr+ru'", "each value once"]),
        (["trainer.learning_rate=0.1,1e-1"], "--over: 'learning_rate=1e-1'", ["'learning_rate=0.1'", "same settings"]),
        (["model.tokenizer=a/b,a?b"], "--over: 'tokenizer=a?b'", ["'tokenizer=a/b'", "'row_tokenizer-a-b'"]),
        (["trainer.steps=1", "trainer.steps=2"], "--over trainer.steps: ", ["2 times"]),
        (["seed=0,1"], "--over seed: ", ["--seeds"]),
        (["evaluation.languages=[tr],[de]"], "--over evaluation.languages: ", ["--split or --set"]),
        (["task=mini/xvnli,mini/marvl"], "--over task: ", ["a sweep for each task"]),
        (["trainer.setps=1"], "override 'trainer.setps=1': trainer.setps: ", ["auxiliary_finetune", "'steps'"]),
        (["auxiliary_language=tr"], "override 'auxiliary_language=tr': ", ["'auxiliary_languages'"]),
        (["trainer.steps=1,0"], "override 'trainer.steps=0': trainer.steps: ", ["0", "1"]),
        (["auxiliary_languages=tr,en"], "override 'auxiliary_languages=[en]': auxiliary_languages.0: ", ["'en'"]),
        (["auxiliary_languages=tr,nl"], "override 'auxiliary_languages=[nl]': auxiliary_languages.0: ", ["'nl'"]),
        (["auxiliary_languages=tr+de+sw"], "'tr+de+sw': evaluation.languages ", ["source en", "auxiliary tr, de, sw"]),
    ],
)
def test_what_cannot_be_swept_is_refused_before_anything_runs(
    over: list[str],
    place: str,
    facts: list[str],
    recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(launcher, "_run", None)
    with pytest.raises(UserError) as refused:
        sweep.sweep(recipe(), over, [0], "dev", [], tmp_path / "sweep", Launch())
    message = str(refused.value)
    assert message.startswith(place)
    assert [fact for fact in facts if fact not in message.removeprefix(place)] == []


def test_languages_without_auxiliary_data_and_trainers_without_auxiliary_languages(
    recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "_run", None)

    def refused(path: Path, *over: str) -> str:
        with pytest.raises(UserError) as error:
            sweep.sweep(path, over, [0], "dev", [], tmp_path / "sweep", Launch())
        return str(error.value)

    by_source = recipe(trainer={"name": "finetune", "steps": 1, "batch_size": 8})
    for over in ([], ["auxiliary_languages=tr,ru"]):
        assert refused(by_source, *over).startswith("auxiliary_languages: the trainer finetune does not")
    few = recipe(task={"name": "marvl", "auxiliary": "few_shot"}, evaluation={"languages": ["id", "sw"]})
    refusal = refused(few, "auxiliary_languages=sw")
    assert "task marvl: split 'auxiliary'" in refusal
    assert "'sw'" in refusal and "id, tr, zh" in refusal
