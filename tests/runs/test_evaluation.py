"""Scores that are added to a finished run, or made again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs import runner
from iglue_plugins.tasks.base import Task
from iglue_plugins.utils.errors import UserError

MakeRecipe = Callable[..., Recipe]


def test_evaluate_adds_splits_and_languages_and_repeats_nothing(recipe: MakeRecipe, fits: list[str]) -> None:
    run = runner.run(recipe({"evaluation": {"languages": ["en"]}}))
    before = run.predictions_path("test", "en").stat().st_mtime_ns
    fits.clear()
    added = runner.evaluate(run.folder, ["test", "dev"], ["en", "tr"]).record()["scores"]
    assert {split: list(scores) for split, scores in added.items()} == {"test": ["en", "tr"], "dev": ["en", "tr"]}
    assert run.predictions_path("test", "en").stat().st_mtime_ns == before
    assert fits == []
    whole = runner.run(recipe({"evaluation": {"languages": ["en", "tr"], "splits": ["test", "dev"]}}))
    assert whole.folder == run.folder


def test_evaluate_needs_a_run_with_a_model(recipe: MakeRecipe, few_shot_recipe: MakeRecipe, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no record.json"):
        runner.evaluate(tmp_path)
    with pytest.raises(UserError, match="keeps no model"):
        runner.evaluate(runner.run(few_shot_recipe()).folder)
    with pytest.raises(UserError, match="'xx'.*language.*tiny/xvnli"):
        runner.evaluate(runner.run(recipe()).folder, languages=["xx"])


def test_scores_are_made_again_where_their_data_have_changed(
    recipe: MakeRecipe, fits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runner.run(recipe())
    before = {language: run.predictions_path("test", language).stat().st_mtime_ns for language in ("en", "tr")}

    def changed(self: Task, split: str, language: str) -> str:
        return "other" if language == "en" else self.fingerprint()

    monkeypatch.setattr("tiny_task.TinyXVNLI.evaluation_fingerprint", changed)
    fits.clear()
    again = runner.run(recipe())
    assert (again.folder, fits) == (run.folder, [])
    assert again.predictions_path("test", "en").stat().st_mtime_ns > before["en"]
    assert again.predictions_path("test", "tr").stat().st_mtime_ns == before["tr"]


def test_evaluation_in_bfloat16_leaves_the_saved_weights_as_they_are(recipe: MakeRecipe, tmp_path: Path) -> None:
    expected = (runner.run(recipe()).model_dir / "model.safetensors").read_bytes()
    low = runner.run(
        recipe({"runs": str(tmp_path / "low"), "evaluation": {"languages": ["en"], "precision": "bfloat16"}})
    )
    assert (low.model_dir / "model.safetensors").read_bytes() == expected
    assert 0 <= low.record()["scores"]["test"]["en"]["accuracy"] <= 100
