"""Which parts of a recipe and its data determine a run's fingerprint."""

from __future__ import annotations

from pathlib import Path

import pytest

from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs import fingerprint as fingerprint_module
from iglue_plugins.runs.fingerprint import fingerprint


@pytest.fixture
def path(tmp_path: Path, plugins: None) -> Path:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("task: nli\nmodel: tiny\ntrainer: finetune\n")
    return recipe


def fingerprint_of(path: Path, *overrides: str, previous: str | None = None, data: str = "d") -> str:
    return fingerprint(load_recipe(path, overrides), previous, data)


def test_fingerprint_is_12_hexadecimal_digits_and_stable(path: Path) -> None:
    assert len(fingerprint_of(path)) == 12
    assert int(fingerprint_of(path), 16) >= 0
    assert fingerprint_of(path) == fingerprint_of(path)


@pytest.mark.parametrize(
    "override",
    ["name=other", "runs=other", "evaluation.batch_size=1", "evaluation.languages=[fr]", "auxiliary_languages=[fr]",
     "task.data_root=/elsewhere", "trainer.epochs=10", "start_from=/"],
)  # fmt: skip
def test_settings_that_do_not_change_the_weights_do_not_count(path: Path, override: str) -> None:
    assert fingerprint_of(path, override) == fingerprint_of(path)


@pytest.mark.parametrize(
    "override",
    ["seed=1", "model.layers=3", "task.pairs=all", "trainer.lr=1", "source_language=fr", "trainer=meta"],
)  # fmt: skip
def test_settings_that_change_the_weights_count(path: Path, override: str) -> None:
    assert fingerprint_of(path, override) != fingerprint_of(path)


def test_auxiliary_languages_count_for_a_trainer_that_uses_them(path: Path) -> None:
    assert fingerprint_of(path, "trainer=meta") != fingerprint_of(path, "trainer=meta", "auxiliary_languages=[fr]")


def test_the_stage_before_the_data_and_the_format_count(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    different = {fingerprint_of(path), fingerprint_of(path, previous="abc"), fingerprint_of(path, data="e")}
    monkeypatch.setattr(fingerprint_module, "WEIGHTS_FORMAT", "0.0")
    assert len(different | {fingerprint_of(path)}) == 4
