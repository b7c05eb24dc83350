"""Smoke tests: few steps and examples, under fingerprints of their own, and never mixed with real runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from iglue_plugins.experiments.launcher import require_all
from iglue_plugins.recipes.recipe import Recipe, load_recipe
from iglue_plugins.reporting.comparison import build_comparison
from iglue_plugins.reporting.run_list import RunFilter, list_runs
from iglue_plugins.runs import runner
from iglue_plugins.runs.folder import Run
from iglue_plugins.utils.errors import UserError

MakeRecipe = Callable[..., Recipe]


def test_every_stage_has_so_many_steps_and_examples(recipe: MakeRecipe, fits: list[str]) -> None:
    trainer = {"name": "xvl_maml", "accumulation": 2, "validate_every": 1}
    run = runner.run(recipe({"trainer": trainer}, "limit=2"))
    stages = {row.trainer: Run(Path(row.folder)) for row in list_runs([run.folder.parent], RunFilter())}
    assert fits == ["Finetune", "XVLMAML"] and stages.keys() == {"finetune", "xvl_maml"}
    for trainer_name, name in (("finetune", "finetune"), ("xvl_maml", "recipe")):
        stage = stages[trainer_name]
        record = stage.record()
        assert stage.folder.name == f"{name}-limit-2-{stage.fingerprint}"
        assert (record["name"], record["limit"], record["steps"]) == (name, 2, 2)
        assert {language: scores["examples"] for language, scores in record["scores"]["test"].items()} == {
            "en": 2,
            "tr": 2,
        }
        assert [row["id"] for row in stage.read_predictions("test", "tr")] == ["test/0", "test/1"]
    assert load_recipe(run.recipe_path).limit == 2
    runner.evaluate(run.folder, ["dev"], ["de"])
    assert run.record()["scores"]["dev"]["de"]["examples"] == 2


def test_a_limit_above_what_there_is_changes_nothing_but_the_name(recipe: MakeRecipe, fits: list[str]) -> None:
    real, limited = runner.run(recipe()), runner.run(recipe(None, "limit=100"))
    assert fits == ["Finetune", "Finetune"]
    weights = [(run.model_dir / "model.safetensors").read_bytes() for run in (real, limited)]
    assert weights[0] == weights[1] and real.fingerprint != limited.fingerprint
    assert "limit" not in real.record() and "limit" not in real.record()["recipe"]
    assert real.record()["scores"] == limited.record()["scores"]


def test_epochs_and_adaptations_are_limited(few_shot_recipe: MakeRecipe, recipe: MakeRecipe) -> None:
    adapted = runner.run(few_shot_recipe("limit=1", "trainer.epochs=3")).record()["adaptation"]["languages"]
    assert {language: notes["steps"] for language, notes in adapted.items()} == {"tr": 1, "de": 1}
    trainer = {"name": "contrastive_adaptation", "inner_steps": 3, "support_size": 4}
    record = runner.run(recipe({"trainer": trainer, "start_from": "model"}, "limit=2")).record()
    assert record["adaptation"]["languages"]["tr"]["steps"] == 2


@pytest.mark.parametrize("task", ["mini/xflickrco", "mini/marvl", "mini/xgqa"])
def test_a_single_example_is_enough_for_every_task(task: str, recipe: MakeRecipe, without_pictures: None) -> None:
    trainer = {"name": "finetune", "validate_every": 1}
    record = runner.run(recipe({"task": task, "trainer": trainer}, "limit=1")).record()
    assert [scores["examples"] for scores in record["scores"]["test"].values()] == [1, 1]
    assert record["validation"]["step"] == 1


def test_a_real_run_never_starts_from_a_smoke_test(recipe: MakeRecipe, fits: list[str], tmp_path: Path) -> None:
    limited = runner.run(recipe(None, "limit=1"))
    for start in (limited.folder, limited.model_dir):
        with pytest.raises(UserError, match=f"start_from: {start} is of a smoke test, limited to 1 steps"):
            runner.run(recipe({"trainer": "auxiliary_finetune", "start_from": str(start)}))
        runner.run(recipe({"trainer": "auxiliary_finetune", "start_from": str(start)}, "limit=1"))
    model = {"name": "xuniter", "checkpoint": str(limited.model_dir)}
    with pytest.raises(UserError, match=f"model: {limited.model_dir} is of a smoke test"):
        runner.run(recipe({"model": model}))

    recipe({"limit": 1}, file="limited")
    made = recipe({"trainer": "auxiliary_finetune", "start_from": "limited.yaml"})
    assert made.previous().limit is None
    real = runner.run(made)
    assert "limit" not in real.record() and "-limit-" not in real.record()["start_from"]["path"]
    assert fits.count("Finetune") == 2


def test_a_smoke_test_may_start_from_a_real_run_and_is_in_no_comparison(recipe: MakeRecipe) -> None:
    real = runner.run(recipe())
    limited = runner.run(recipe({"trainer": "auxiliary_finetune", "start_from": str(real.folder)}, "limit=1"))
    with pytest.raises(UserError, match=f"{limited.folder}: is a smoke test, limited to 1 steps and examples"):
        build_comparison([("real", [real.folder]), ("limited", [limited.folder])])
    with pytest.raises(UserError, match="recipe 'recipe': has limit 1, a smoke test"):
        require_all([recipe(None, "limit=1")])
    rows = {row.trainer: row.limit for row in list_runs([real.folder.parent], RunFilter())}
    assert rows == {"finetune": None, "auxiliary_finetune": 1}
