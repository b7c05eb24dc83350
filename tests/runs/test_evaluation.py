"""Scores that are added to a finished run, or made again."""

from __future__ import annotations

import shutil
import sys
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
    added = runner.evaluate(run.folder, ["test", "dev"], ["en", "tr"])[0].record()["scores"]
    assert {split: list(scores) for split, scores in added.items()} == {"test": ["en", "tr"], "dev": ["en", "tr"]}
    assert run.predictions_path("test", "en").stat().st_mtime_ns == before
    assert fits == []
    whole = runner.run(recipe({"evaluation": {"languages": ["en", "tr"], "splits": ["test", "dev"]}}))
    assert whole.folder == run.folder


def test_predictions_of_an_earlier_version_are_made_anew_without_training(
    recipe: MakeRecipe, fits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr("iglue_plugins.evaluation.evaluator.example_facts", lambda task, batcher: [{}] * len(batcher))
        run = runner.run(recipe())
    before, scores = run.read_predictions("test", "tr"), run.record()["scores"]
    runner.evaluate(run.folder, ["test"], ["tr"])
    assert run.read_predictions("test", "tr") == before
    runner.evaluate(run.folder, ["test"], ["tr"], again=True)
    found = run.read_predictions("test", "tr")
    assert [row.keys() - old.keys() for row, old in zip(found, before, strict=True)] == [
        {"objects", "regions", "unseen"}
    ] * 6
    assert [{key: row[key] for key in before[0]} for row in found] == before
    assert (run.record()["scores"], fits) == (scores, ["Finetune"])
    assert "objects" not in run.read_predictions("test", "en")[0], "the language that was not asked for"


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

    def changed(self: Task, split: str, language: str, shots: int | str | None = None) -> str:
        return "other" if (split, language) == ("test", "en") else before_change(self, split, language, shots)

    before_change = sys.modules["tiny_task"].TinyXVNLI.fingerprint
    monkeypatch.setattr("tiny_task.TinyXVNLI.fingerprint", changed)
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
    assert 0 <= low.record()["scores"]["test@bfloat16"]["en"]["accuracy"] <= 100


def test_scores_belong_to_the_settings_that_made_them(recipe: MakeRecipe, fits: list[str]) -> None:
    run = runner.run(recipe())
    first, rows = run.record(), run.read_predictions("test", "tr")
    assert runner.run(recipe(None, "evaluation.precision=bfloat16")).folder == run.folder
    assert fits == ["Finetune"]
    record = run.record()
    assert record["scores"].keys() == record["data"].keys() == {"test", "test@bfloat16"}
    assert (record["scores"]["test"], run.read_predictions("test", "tr")) == (first["scores"]["test"], rows)
    assert [row["id"] for row in run.read_predictions("test@bfloat16", "tr")] == [row["id"] for row in rows]
    assert runner.finished(recipe(None, "evaluation.precision=bfloat16")) is not None
    assert runner.finished(recipe(None, "evaluation.compile=true")) is None


def test_a_finished_run_is_evaluated_without_the_stage_before(
    recipe: MakeRecipe, fits: list[str], tmp_path: Path
) -> None:
    english = recipe(file="english")
    baseline = runner.run(english)
    started = [
        runner.run(recipe({"trainer": "auxiliary_finetune", "start_from": start}, file=name))
        for name, start in (("from_recipe", "english.yaml"), ("from_run", str(baseline.folder)))
    ]
    shutil.rmtree(baseline.folder)
    (tmp_path / "english.yaml").unlink()
    for run in started:
        assert "de" in runner.evaluate(run.folder, languages=["de"])[0].record()["scores"]["test"]
    assert fits == ["Finetune", "AuxiliaryFinetune"]  # both runs start from the same weights
