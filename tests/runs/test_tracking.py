"""What experiment trackers get of a run: its settings, losses, validations and scores."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers.integrations import integration_utils

from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs import runner
from iglue_plugins.runs.folder import Run
from iglue_plugins.trainers import tracking
from iglue_plugins.utils.errors import UserError

MakeRecipe = Callable[..., Recipe]
FINETUNE = {"name": "finetune", "steps": 4, "log_every": 2, "validate_every": 2}
EVALUATION = {"splits": ["test"], "languages": ["en", "tr", "de"]}


def events_of(run: Run) -> EventAccumulator:
    events = EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    return events


def scalars(run: Run) -> dict[str, dict[int, float]]:
    events = events_of(run)
    return {tag: {event.step: event.value for event in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def test_losses_validations_and_scores_are_logged_and_nothing_else(recipe: MakeRecipe) -> None:
    run = runner.run(recipe({"trainer": FINETUNE, "evaluation": EVALUATION}))
    found, scores = scalars(run), run.require_record()["scores"]["test"]
    losses = {"train/loss", "train/task_loss", "train/grad_norm", "train/learning_rate"}
    by_language = {f"eval/test/{language}/accuracy" for language in scores}
    assert found.keys() == losses | by_language | {"eval/validation", "eval/test/target_mean/accuracy"}
    assert all(list(found[name]) == [2, 4] for name in (*losses, "eval/validation"))
    for language, of_language in scores.items():
        assert found[f"eval/test/{language}/accuracy"] == {4: pytest.approx(of_language["accuracy"])}
    mean = np.mean([scores[language]["accuracy"] for language in ("tr", "de")])
    assert found["eval/test/target_mean/accuracy"] == {4: pytest.approx(mean)}
    (text,) = events_of(run).Tensors("args/text_summary")
    shown = json.loads(text.tensor_proto.string_val[0])
    assert (shown["seed"], shown["steps"], shown["validate_every"]) == (0, 4, 2) and "output_dir" not in shown


def test_a_training_of_few_steps_has_its_mean_loss(recipe: MakeRecipe) -> None:
    found = scalars(runner.run(recipe({"trainer": FINETUNE | {"log_every": 100}})))
    assert found["train/loss"] == {4: pytest.approx(found["train/task_loss"][4], rel=1e-5)}


def test_the_mean_is_without_languages_that_were_trained_on(recipe: MakeRecipe) -> None:
    trainer = {"name": "auxiliary_finetune", "steps": 2}
    run = runner.run(recipe({"trainer": trainer, "start_from": "model", "evaluation": EVALUATION}))
    found = scalars(run)
    assert found["eval/test/target_mean/accuracy"] == found["eval/test/de/accuracy"]


def test_scores_that_are_added_later_are_logged_too(recipe: MakeRecipe) -> None:
    run = runner.run(recipe({"trainer": FINETUNE, "evaluation": EVALUATION | {"languages": ["en", "tr"]}}))
    assert "eval/test/de/accuracy" not in scalars(run)
    runner.evaluate(run.folder, languages=["de"])
    assert scalars(run)["eval/test/de/accuracy"].keys() == {4}


def test_a_tracker_that_fails_costs_no_scores(
    recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, logs: dict[str, float], **__: Any) -> None:
        if any(name.startswith("eval_test") for name in logs):
            raise ConnectionError("no network")

    monkeypatch.setattr(integration_utils.TensorBoardCallback, "on_log", fail)
    run = runner.run(recipe({"trainer": FINETUNE}))
    assert run.is_finished and run.require_record()["scores"]["test"].keys() == {"en", "tr"}
    assert (
        f"{run.folder.name}: its scores are not in tensorboard (ConnectionError: no network)" in capsys.readouterr().err
    )


def test_a_tracker_that_is_not_installed_is_said_before_anything_runs(recipe: MakeRecipe, fits: list[str]) -> None:
    made = recipe({"trainer": FINETUNE | {"report_to": ["tensorboard", "neptune"]}})
    with pytest.raises(UserError, match="^trainer.report_to: neptune cannot be used here, because the package is not"):
        runner.run(made)
    assert not fits and not list(made.runs.glob("*/*"))


def test_names_for_trackers_tell_runs_and_languages_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Path("runs/finetune-0123456789ab")
    assert tracking.run_name(run) == "finetune-0123456789ab"
    assert tracking.run_name(run / "adapted" / "tr") == "finetune-0123456789ab-tr"
    for name in ("WANDB_PROJECT", "WANDB_RUN_ID", "WANDB_RESUME", "TENSORBOARD_LOGGING_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    monkeypatch.setattr(tracking, "_given", {})
    for folder in (Path("runs/a b-0"), Path("runs/c-1")):
        tracking.begin_run(folder)
    names = ("WANDB_PROJECT", "WANDB_RUN_ID", "WANDB_RESUME", "TENSORBOARD_LOGGING_DIR")
    assert [os.environ[name] for name in names] == ["mine", "c-1", "allow", str(Path("runs/c-1/tensorboard"))]


@pytest.mark.skipif(importlib.util.find_spec("trackio") is None, reason="trackio is not installed here")
def test_trackio_has_a_run_with_its_losses_and_scores(
    recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from trackio.sqlite_storage import SQLiteStorage

    for module in ("trackio.utils", "trackio.sqlite_storage"):
        monkeypatch.setattr(f"{module}.TRACKIO_DIR", tmp_path / "trackio")
    run = runner.run(recipe({"trainer": FINETUNE | {"report_to": ["trackio"]}}))
    assert capsys.readouterr().out == "", "what trackio prints is no part of a command's output"
    assert SQLiteStorage.get_runs(tracking.PROJECT) == [run.folder.name]
    logs = SQLiteStorage.get_logs(tracking.PROJECT, run.folder.name)
    by_name = {name: value for row in logs for name, value in row.items()}
    assert {"train/loss", "eval/validation"} <= by_name.keys()
    assert by_name["eval/test/tr/accuracy"] == run.require_record()["scores"]["test"]["tr"]["accuracy"]
    assert [row["train/global_step"] for row in logs if "train/loss" in row] == [2, 4]
    assert not (run.folder / "tensorboard").exists()
