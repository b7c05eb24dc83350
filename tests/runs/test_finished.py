"""Finding out whether a recipe has anything left to run."""

from __future__ import annotations

from collections.abc import Callable

from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs import runner


def test_finished_returns_a_run_that_needs_no_training_or_evaluation(
    recipe: Callable[..., Recipe], fits: list[str]
) -> None:
    changes = {"trainer": "auxiliary_finetune", "evaluation": {"languages": ["en"]}}
    row, more = recipe(changes), recipe(changes, "evaluation.languages=[en, tr]")
    assert runner.finished(row) is None
    runner.run(row.previous())
    assert runner.finished(row) is None
    assert fits == ["Finetune"]
    run = runner.run(row)
    assert runner.finished(row).folder == run.folder
    assert runner.finished(more) is None  # not scored in Turkish
    run.predictions_path("test", "en").unlink()
    assert runner.finished(row) is None
    assert fits == ["Finetune", "AuxiliaryFinetune"]
