"""What of a recipe is left to do, without doing it."""

from __future__ import annotations

from collections.abc import Callable

from iglue_plugins import harness
from iglue_plugins.recipes import Recipe


def test_a_run_is_finished_when_run_would_return_it_as_it_is(recipe: Callable[..., Recipe], fits: list[str]) -> None:
    changes = {"trainer": "auxiliary_finetune", "evaluation": {"languages": ["en"]}}
    row, more = recipe(changes), recipe(changes, "evaluation.languages=[en, tr]")
    assert harness.finished(row) is None
    harness.run(row.previous())
    assert harness.finished(row) is None
    assert fits == ["Finetune"]
    run = harness.run(row)
    assert harness.finished(row).folder == run.folder
    assert harness.finished(more) is None  # not scored in Turkish
    run.predictions_path("test", "en").unlink()
    assert harness.finished(row) is None
    assert fits == ["Finetune", "AuxiliaryFinetune"]
