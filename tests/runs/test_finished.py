"""What of a recipe is left to do, without doing it."""

from __future__ import annotations

from collections.abc import Callable

from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs import runner


def test_a_run_is_finished_when_run_would_return_it_as_it_is(recipe: Callable[..., Recipe], fits: list[str]) -> None:
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
