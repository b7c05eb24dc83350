"""What a comparison says of runs that are finished."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from iglue_plugins.experiments.launcher import Launch, run_all
from iglue_plugins.recipes.recipe import load_recipe


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_finished_stage_before_several_runs_is_named_once(
    write: Callable[..., Path], capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    write("first")
    paths = [write("a", start_from="first.yaml"), write("b", auxiliary_languages=["de"], start_from="first.yaml")]
    first, *others = [load_recipe(path, ["evaluation.languages=[en]"]) for path in (write("first"), *paths)]
    (folder,) = run_all([first], Launch())
    capfd.readouterr()
    run_all(others, Launch(jobs=jobs))
    lines = capfd.readouterr().err.splitlines()
    assert [line for line in lines if "finished before" in line] == [
        f"first (seed 0): finished before, reused: {folder}"
    ]
    assert sum(line.startswith("training ") for line in lines) == 2
