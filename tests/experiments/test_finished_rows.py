"""Rows of finished runs, for which nothing is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from iglue_plugins.experiments.finished_rows import read_finished
from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs import runner
from iglue_plugins.utils.errors import UserError

Write = Callable[..., Path]


def run(recipe: Path, *overrides: str) -> Path:
    return runner.run(load_recipe(recipe, overrides)).folder


def test_recipes_and_runs_are_read_and_nothing_is_run(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, other = write("plain"), write("other")
    folders = [run(recipe, f"seed={seed}", "trainer.steps=1") for seed in (0, 1)]
    changed = [run(other, f"seed={seed}", "trainer.steps=3") for seed in (0, 1)]
    monkeypatch.setattr(runner, "run", None)
    found = read_finished([recipe, *changed], [1, 0], "dev", ["trainer.steps=1"])
    assert {
        task: {label: [each.folder for each in row] for label, row in rows.items()} for task, rows in found.items()
    } == {"mini/xvnli": {"plain": folders, "other": changed}}
    assert found["mini/xvnli"]["plain"][0].metric.keys() == {"en", "tr", "de"}


def test_a_lacking_run_is_named_with_the_command_that_makes_it(write: Write) -> None:
    recipe = write("plain")
    run(recipe)
    command = f"`iglue run {recipe} seed=3 'evaluation.splits=[dev]' trainer.steps=2`"
    with pytest.raises(UserError) as raised:
        read_finished([recipe], [0, 3], "dev", ["trainer.steps=2"])
    assert str(raised.value) == (
        f"{recipe}: its run of seed 3 is not finished, or has no scores of dev in all of its languages; "
        f"{command} makes it"
    )
    with pytest.raises(UserError, match=r"has no scores of test in all .* 'evaluation.splits=\[test\]'` makes it"):
        read_finished([recipe], [0], "test")
