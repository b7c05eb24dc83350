"""What `iglue run --dry-run` says: stages, what is lacking, room and time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from made_runs import make_checkpoint
from rich.filesize import decimal

from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs import preflight, runner
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.plan import make_plan
from iglue_plugins.utils.text import duration

MakeRecipe = Callable[..., Recipe]


def test_a_plan_runs_nothing_and_names_every_stage(recipe: MakeRecipe, fits: list[str], tiny_checkpoint: Path) -> None:
    made = recipe({"trainer": "xvl_maml"})
    plan = make_plan(made)
    assert [stage.what.split(",")[:3] for stage in plan.stages] == [
        ["new", " 3 steps to train", " 2 languages to evaluate"],
        ["new", " 6 steps to train", " 2 languages to evaluate"],
    ]
    assert (plan.lacking, fits, made.runs.exists()) == ([], [], False)
    *_, disk, time, lacking = plan.describe()
    size = (tiny_checkpoint / "model.safetensors").stat().st_size
    assert preflight.room([size, size]) == 11 * size
    assert disk == f"disk: about {decimal(11 * size)} while it trains, {decimal(2 * size)} when it is finished"
    assert (time, lacking) == ("time: unknown", "nothing is lacking")


def test_a_plan_says_what_is_reused_and_where_a_run_resumes(recipe: MakeRecipe, fits: list[str]) -> None:
    made = recipe({"trainer": "xvl_maml"})
    before = runner.run(made.previous())
    run = runner.planned_run(made)
    make_checkpoint(run, 4, 6)
    first, second = make_plan(made).stages
    assert (first.what, first.is_reused) == (f"finished before, reused: {before.folder}", True)
    assert second.what.startswith("resumes at step 4 of 6, 2 steps to train")
    shutil.rmtree(run.folder)
    assert runner.run(made).folder == run.folder
    (*_, last) = make_plan(recipe({"trainer": "xvl_maml"}, "evaluation.languages=[en,de]")).stages
    assert last.what.startswith("trained before, 1 language to evaluate")
    assert [stage.is_reused for stage in make_plan(made).stages] == [True, True]
    assert fits == ["Finetune", "XVLMAML"]


def test_time_is_estimated_by_real_runs_on_this_device(recipe: MakeRecipe) -> None:
    for seed in (0, 1, 2):
        run = runner.run(recipe(None, f"seed={seed}"))
        record = run.record()
        record["timings"] |= {"training_seconds": 3.0 * (10 if seed else 20), "evaluation_seconds": 12.0}
        if seed == 2:
            record["processes"][-1]["device"] = "cuda (another)"
        run.write_record(record)
    limited = runner.run(recipe(None, "limit=1"))
    limited.write_record(limited.record() | {"timings": {"training_seconds": 1e6, "evaluation_seconds": 1e6}})
    (stage,) = make_plan(recipe(None, "seed=3", "trainer.steps=6")).stages
    assert stage.seconds == pytest.approx(6 * (20 + 10) / 2 + 2 * 6 * 1.0)
    (stage,) = make_plan(recipe(None, "seed=3", "limit=2")).stages
    assert stage.seconds == pytest.approx(2 * 15 + 2 * 2 * 1.0)


def test_models_for_each_language(few_shot_recipe: MakeRecipe) -> None:
    made = few_shot_recipe()
    assert (
        make_plan(made).stages[-1].what.startswith("a model for each language, 3 languages to evaluate, time unknown")
    )
    run = runner.run(made)
    run.write_record(run.record() | {"timings": {"training_seconds": 8.0, "evaluation_seconds": 18.0}})
    (*_, last) = make_plan(few_shot_recipe("seed=1")).stages
    assert last.seconds == pytest.approx(2 * 4.0 + 3 * 6 * 1.0)


def test_what_is_lacking_is_said(recipe: MakeRecipe, tmp_path: Path) -> None:
    task = {"name": "xvnli", "data_root": str(tmp_path)}
    plan = make_plan(recipe({"task": task, "trainer": "xvl_maml", "evaluation": {"languages": ["en", "ru"]}}))
    assert [stage.is_reused for stage in plan.stages] == [False, False]
    assert any("train.jsonl: no such file" in sentence for sentence in plan.lacking)
    assert list(plan.describe())[-len(plan.lacking) :] == plan.lacking


def test_a_stage_that_another_process_runs_is_named(recipe: MakeRecipe) -> None:
    made = recipe()
    lock = Run(runner.planned_run(made).folder).lock_file()
    lock.path.parent.mkdir()
    assert lock.acquire()
    (stage,) = make_plan(made).stages
    lock.close()
    assert "now run by process " in stage.what


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min"), (108, "1 min 48 s"), (7500, "2 h 5 min"), (3600, "1 h"), (90000, "1 d 1 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
