"""Runs as jobs, in processes that submitit starts."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

from iglue_plugins.experiments import launcher, slurm
from iglue_plugins.experiments.launcher import Launch
from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs import runner
from iglue_plugins.runs.folder import Run


def test_jobs_run_what_is_not_finished_stage_by_stage(
    recipe: Callable[..., Recipe], tiny_task: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    def run(row: Recipe) -> Path:
        importlib.import_module("tiny_task")
        return importlib.import_module("iglue_plugins.experiments.launcher")._run(row)

    monkeypatch.setattr(launcher, "_run", run)
    monkeypatch.setenv("PYTHONPATH", str(tiny_task))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    rows = [
        recipe({"trainer": "auxiliary_finetune"}, f"auxiliary_languages=[{language}]", file=language)
        for language in ("tr", "de")
    ]
    finished, launch = runner.run(rows[0]), Launch.parse("local", 2, ["cpus_per_task=1"])
    folders = launcher.run_all(rows, launch)
    assert folders[0] == finished.folder
    assert [Run(folder).record()["name"] for folder in folders] == ["tr", "de"]
    assert capfd.readouterr().err.splitlines()[-1].startswith("stage 2 of 2: jobs for runs: 1, their logs: ")
    (log,) = (rows[0].runs / ".jobs").glob("*/*_log.err")
    assert log.read_text().startswith("training de (seed 0): new: auxiliary_finetune, ")
    monkeypatch.setattr(slurm, "run_jobs", None)  # nothing is left to be submitted
    assert launcher.run_all(rows, launch) == folders
