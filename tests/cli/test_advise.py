"""`iglue advise`: rankings as tables and as JSON, and one sentence for what a user can get wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iglue_plugins.advice import typology, uncertainty
from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs import runner

Iglue = Callable[..., Any]
RECIPE = Path(__file__).parents[2] / "recipes/mini/xvnli/xvl_maml.yaml"
TARGETS = ("tr", "ru", "ar", "sw", "de", "fr", "id", "zh")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few resamples, and no typology, so that it does not matter what is installed; the command sets a variable."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(uncertainty, "RESAMPLES", 60)
    monkeypatch.setattr(typology, "is_installed", lambda: False)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def matrix(tmp_path: Path) -> Path:
    """A sweep of eight languages, of which Swahili helps all others by 10 points."""
    lines = [f"label,trained_on,en,{','.join(TARGETS)},mean_unseen", f"finetune,,{','.join('9' * 10)}"]
    for row in TARGETS:
        scores = [str(60 + 10 * (row == "sw") + column + len(row) / 10) for column in range(len(TARGETS))]
        lines.append(f"{row},{row},70,{','.join(scores)},60")
    file = tmp_path / "matrix.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_a_ranking_for_each_target_is_learned_from_a_matrix(iglue: Iglue, matrix: Path) -> None:
    options = ("--matrix", matrix, "--candidates", "tr,ru,sw,ko")
    ended = iglue("advise", RECIPE, "--target", "de", "--target", "tr", *options)
    assert ended.code == 0, ended.err
    assert "mini/xvnli: auxiliary languages for de (4 candidates)" in ended.out
    assert "mini/xvnli: auxiliary languages for tr (3 candidates)" in ended.out
    assert ended.out.count("preferred: sw") == 2
    assert "+8.6 points in other targets" in ended.out
    assert f"learned from {matrix}" in ended.out
    assert "Left out: syntactic, phonological, inventory, genetic, geographic (pip install" in ended.out

    found = json.loads(iglue("advise", RECIPE, "--target", "de", "--target", "tr", *options, "--json").out)
    assert (found["task"], found["unit"], found["matrices"]) == ("mini/xvnli", "points", [str(matrix)])
    assert [ranking["target"] for ranking in found["rankings"]] == ["de", "tr"]
    best = found["rankings"][0]["candidates"][0]
    assert best["language"] == "sw"
    assert best["measured"] == pytest.approx(10) and best["low"] > 0
    of_korean = {c["language"]: c for c in found["rankings"][0]["candidates"]}["ko"]
    assert of_korean["measured"] is None


def test_the_matrix_that_ships_is_the_default_and_nothing_is_downloaded(iglue: Iglue) -> None:
    ended = iglue("advise", RECIPE, "--candidates", "tr,ru,ko", "--json")
    found = json.loads(ended.out)
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert found["matrices"] == ["the matrix that ships for the task"]
    assert {"shared_tokens", "fertility"} <= set(found["predictors"])
    (ranking,) = found["rankings"]
    assert (ranking["target"], len(ranking["candidates"])) == (None, 3)


def test_without_a_matrix_predictors_agree_and_nothing_is_fitted(iglue: Iglue) -> None:
    ended = iglue("advise", "mini/xgqa", "--target", "sw")
    assert ended.code == 0, ended.err
    assert "Nothing was fitted, since there are no scores of this task" in ended.out
    assert "no preference: too few predictors to agree" in ended.out or "may be 0" in ended.out
    assert "Left out: shared_tokens, fertility, fertility_gap (a task names no model" in ended.out


def test_a_run_compares_texts(iglue: Iglue, write: Callable[..., Path], matrix: Path) -> None:
    run = runner.run(load_recipe(write("tiny", evaluation={"splits": ["dev"], "languages": ["en"]})))
    options = ("--matrix", matrix, "--candidates", "tr,ru,sw", "--target", "de", "--json")
    found = json.loads(iglue("advise", "mini/xvnli", "--model", run.folder, *options).out)
    assert {"neighbors", "shared_tokens"} <= set(found["predictors"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((RECIPE, "--target", "xx"), "--target: task mini/xvnli has no language 'xx'"),
        ((RECIPE, "--target", "en"), "--target: 'en' is a source language"),
        ((RECIPE, "--candidates", "tr,xx"), "--candidates: task mini/xvnli has no language 'xx'"),
        ((RECIPE, "--target", "sw", "--candidates", "sw"), "--target: 'sw' is the only candidate itself"),
        ((RECIPE, "--target", "sw", "--candidates", "sw,tr"), "--target: 'sw' has only one candidate beside itself"),
        ((RECIPE, "--matrix", "missing.csv"), "missing.csv: cannot be read"),
        ((RECIPE, "--data-root", "."), "--data-root: a recipe says itself where its data are"),
        (("xvnly",), "there is no task 'xvnly'"),
        (("mini/xvnli", "--model", "missing"), "missing"),
    ],
)
def test_errors_are_one_sentence(iglue: Iglue, arguments: tuple[Any, ...], sentence: str) -> None:
    assert iglue("advise", *arguments).sentence().startswith(sentence)


def test_a_target_without_texts_is_one_sentence(iglue: Iglue, tmp_path: Path) -> None:
    found = iglue("advise", "xvnli", "--target", "ru", "--data-root", tmp_path).sentence()
    assert found.startswith("task xvnli: there are no texts in 'ru'")
