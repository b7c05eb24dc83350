"""Runs that adapt a model to each evaluated language."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs import runner
from iglue_plugins.utils.errors import UserError

MakeRecipe = Callable[..., Recipe]


def test_few_shot_adapts_to_each_language_and_leaves_the_source_as_it_is(
    few_shot_recipe: MakeRecipe, recipe: MakeRecipe, fits: list[str]
) -> None:
    adapted = runner.run(few_shot_recipe())
    assert fits == ["Finetune", "FewShot", "FewShot"]  # the baseline, then Turkish and German
    record = adapted.record()
    assert list(record["scores"]["test"]) == ["en", "tr", "de"]
    assert record["adaptation"]["summary"] == "on 6 shots"
    assert sorted(record["adaptation"]["languages"]) == ["de", "tr"]
    assert record["adaptation"]["languages"]["tr"].keys() == {"learning_rate", "steps", "validation"}
    assert (record["steps"], record["training_languages"]) == (2, [])
    assert not (adapted.folder / "adapted").exists() or not any((adapted.folder / "adapted").iterdir())
    baseline = runner.run(recipe({"evaluation": {"languages": ["en", "tr", "de"]}}))
    assert baseline.read_predictions("test", "en") == adapted.read_predictions("test", "en")


def test_few_shot_adapts_again_only_for_what_is_missing(few_shot_recipe: MakeRecipe, fits: list[str]) -> None:
    first = runner.run(few_shot_recipe())
    expected = first.read_predictions("test", "de")
    fits.clear()
    first.predictions_path("test", "de").unlink()
    again = runner.run(few_shot_recipe())
    assert (again.folder, fits) == (first.folder, ["FewShot"])
    assert again.read_predictions("test", "de") == expected


def test_missing_shots_are_found_before_the_stage_before_runs(few_shot_recipe: MakeRecipe, fits: list[str]) -> None:
    with pytest.raises(UserError, match=r"tiny/xvnli.*99"):
        runner.run(few_shot_recipe("trainer.shots=99"))
    assert fits == []


def test_nothing_starts_from_a_run_that_keeps_no_model(few_shot_recipe: MakeRecipe, recipe: MakeRecipe) -> None:
    folder = runner.run(few_shot_recipe()).folder
    with pytest.raises(UserError, match="keeps no model"):
        runner.run(recipe({"start_from": str(folder)}))


def test_a_model_without_a_head_gets_the_tasks(recipe: MakeRecipe) -> None:
    trainer = {"name": "contrastive_adaptation", "inner_lr": 1e-3, "support_size": 4, "pairs": "all"}
    record = runner.run(recipe({"trainer": trainer, "start_from": "model"})).record()
    assert set(record["scores"]["test"]) == {"en", "tr"}
