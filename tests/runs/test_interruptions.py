"""Runs that are killed or interrupted, and runs that two processes work on."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from processes import is_running

from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs import runner
from iglue_plugins.runs.folder import Run


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """The run of the recipe in `xvl_maml`, once."""
    return {}


@pytest.fixture
def xvl_maml(recipe: Callable[..., Recipe]) -> Recipe:
    return recipe({"trainer": "xvl_maml", "start_from": "model"})


@pytest.fixture
def expected(xvl_maml: Recipe, uninterrupted: dict[str, Run], tmp_path_factory: pytest.TempPathFactory) -> Run:
    if not uninterrupted:
        runs = tmp_path_factory.mktemp("uninterrupted")
        uninterrupted["run"] = runner.run(xvl_maml.model_copy(update={"runs": runs}))
    return uninterrupted["run"]


@pytest.mark.parametrize(
    ("moment", "trains_again"),
    [
        ("MetaObjective, 'forward', 1", True),
        ("MetaObjective, 'forward', 5", True),
        ("Checkpoints, 'on_save', 2", True),
        ("PreTrainedTokenizerBase, 'save_pretrained', 1", True),
        ("Run, 'write_predictions', 1", False),
        ("Run, 'write_predictions', 2", False),
        ("Run, 'write_record', 1", False),
    ],
    ids=["first step", "training", "checkpoint", "saving", "evaluation", "second language", "record"],
)  # fmt: skip
def test_a_killed_run_resumes_to_the_very_same_result(
    moment: str,
    trains_again: bool,
    xvl_maml: Recipe,
    expected: Run,
    start: Callable[..., BaseProcess],
    fits: list[str],
    same_run: Callable[[Run, Run], None],
    tmp_path: Path,
) -> None:
    killed = start(f"at_call({moment}, signal.SIGKILL)\nrunner.run(load_recipe(recipe))")
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL, (tmp_path / "log").read_text()
    assert not Run(xvl_maml.runs / expected.folder.name).is_finished
    same_run(runner.run(xvl_maml), expected)
    assert fits == (["XVLMAML"] if trains_again else [])


def test_an_interrupt_ends_with_130_and_one_line_and_the_run_resumes(
    xvl_maml: Recipe,
    expected: Run,
    start: Callable[..., BaseProcess],
    same_run: Callable[[Run, Run], None],
    tmp_path: Path,
) -> None:
    interrupted = start("""
at_call(MetaObjective, "forward", 5, signal.SIGINT)
sys.argv = ["iglue", "run", recipe]
cli.main()
""")
    interrupted.join(60)
    folder = xvl_maml.runs / expected.folder.name
    training, interruption = (tmp_path / "log").read_text().splitlines()
    assert training.startswith("training recipe (seed 0)") and str(folder) in training
    assert interruption.startswith("iglue: interrupted")
    assert interrupted.exitcode == 130
    assert (folder / "checkpoints" / "checkpoint-4").is_dir()
    same_run(runner.run(xvl_maml), expected)


def test_a_terminated_run_saves_the_step_that_is_under_way_and_resumes(
    recipe: Callable[..., Recipe],
    start: Callable[..., BaseProcess],
    same_run: Callable[[Run, Run], None],
    tmp_path: Path,
) -> None:
    """SIGTERM is what a cluster sends before it kills; no other checkpoint is due."""
    made = recipe({"trainer": {"name": "xvl_maml", "save_every": None}, "start_from": "model"})
    terminated = start("at_call(MetaObjective, 'forward', 5, signal.SIGTERM)\nrunner.run(load_recipe(recipe))")
    terminated.join(60)
    training, stop, reached = (tmp_path / "log").read_text().splitlines()
    assert training.startswith("training recipe (seed 0): new: ")
    assert stop == "stopped by SIGTERM after step 5 of 6; the same command resumes"
    assert reached.startswith("recipe (seed 0): step 5 of 6, ")
    assert terminated.exitcode == -signal.SIGTERM
    (folder,) = made.runs.glob("recipe-*")
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["checkpoint-5"]

    resumed = start("runner.run(load_recipe(recipe))", "again")
    resumed.join(60)
    first = (tmp_path / "again").read_text().splitlines()[0]
    assert first == f"training recipe (seed 0): resumed at step 5 of 6: xvl_maml, {folder}"
    same_run(Run(folder), runner.run(made.model_copy(update={"runs": tmp_path / "whole"})))


WAIT_FOR_SIGNALS = """
import multiprocessing, time
forward, calls = MetaObjective.forward, iter(range(1, 1000))

def waiting(*args, **kwargs):
    if next(calls) == 5:
        print("processes", os.getpid(), *(worker.pid for worker in multiprocessing.active_children()))
        while not Path(log).with_suffix(".sent").exists():
            time.sleep(0.05)
    return forward(*args, **kwargs)

MetaObjective.forward = waiting
runner.run(load_recipe(recipe))
"""


def test_a_run_whose_workers_are_terminated_with_it_saves_its_step_too(
    recipe: Callable[..., Recipe],
    start: Callable[..., BaseProcess],
    same_run: Callable[[Run, Run], None],
    tmp_path: Path,
) -> None:
    """A cluster sends SIGTERM to all processes of a job. The workers end when the training has."""
    trainer = {"name": "xvl_maml", "save_every": None, "workers": 2, "steps": 12}
    made = recipe({"trainer": trainer, "start_from": "model"})
    terminated, log = start(WAIT_FOR_SIGNALS), tmp_path / "log"
    wait_until(lambda: log.exists() and "processes" in log.read_text())
    _, named = log.read_text().splitlines()
    processes = [int(number) for number in named.split()[1:]]
    assert len(processes) == 3
    for process in processes:
        os.kill(process, signal.SIGTERM)
    time.sleep(0.5)
    (tmp_path / "log.sent").touch()
    terminated.join(60)
    assert log.read_text().splitlines()[2] == "stopped by SIGTERM after step 5 of 12; the same command resumes"
    assert terminated.exitcode == -signal.SIGTERM
    wait_until(lambda: not any(map(is_running, processes)))

    resumed = start("runner.run(load_recipe(recipe))", "again")
    resumed.join(60)
    assert "resumed at step 5 of 12" in (tmp_path / "again").read_text().splitlines()[0]
    (folder,) = made.runs.glob("recipe-*")
    same_run(Run(folder), runner.run(made.model_copy(update={"runs": tmp_path / "whole"})))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_two_processes_on_one_run_train_it_once_and_both_return_it(
    recipe: Callable[..., Recipe], start: Callable[..., BaseProcess], tmp_path: Path
) -> None:
    """The two recipes have different names. Training does not begin before the other process waits."""
    recipe({"trainer": "xvl_maml"})
    code = """
names = {"log0": "first", "log1": "second"}
import json, pathlib, time
fit, logs = Trainer.fit, pathlib.Path(log).parent
def fit_beside_another(*args, **kwargs):
    deadline = time.monotonic() + 30
    while not any("waiting" in path.read_text() for path in logs.glob("log*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return fit(*args, **kwargs)
Trainer.fit = fit_beside_another
record = runner.run(load_recipe(recipe, ["name=" + names[pathlib.Path(log).name]])).record()
pathlib.Path(log).with_suffix(".json").write_text(json.dumps(record))
"""
    both = [start(code, f"log{number}") for number in range(2)]
    for process in both:
        process.join(120)
        assert process.exitcode == 0, [path.read_text() for path in tmp_path.glob("log*")]
    said = [line for number in range(2) for line in (tmp_path / f"log{number}").read_text().splitlines()]
    trained = sorted(line.split()[1] for line in said if line.startswith("training "))
    assert trained in (["finetune", "first"], ["finetune", "second"])
    assert any("waiting for the lock" in line and "held by process" in line for line in said)
    records = [json.loads((tmp_path / f"log{number}.json").read_text()) for number in range(2)]
    assert records[0] == records[1]
    assert len(list((tmp_path / "runs").iterdir())) == 2
