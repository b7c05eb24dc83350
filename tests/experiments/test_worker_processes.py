"""Processes that run recipes: what they return, how they end, and when a run may begin."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iglue_plugins.experiments.devices import VISIBLE_GPUS
from iglue_plugins.experiments.worker_processes import PlannedRun, WorkerProcesses
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import content_hash

MIG = "MIG-c7384736-a75d-5afc-978f-d2f1294409fd"


def run_each(run: Callable[[Any], Any], inputs: list[Any], count: int = 2) -> list[Any]:
    """Run anything in the place of recipes, none of which starts from another."""
    with WorkerProcesses(count) as workers:
        found = workers.run([PlannedRun(each, str(number), None) for number, each in enumerate(inputs)], run)
    return [found[str(number)] for number in range(len(inputs))]


def test_each_run_has_its_result() -> None:
    assert run_each(abs, [-3, -1, -2]) == [3, 1, 2]


def shell(command: str) -> list[str]:
    """A command that `subprocess.check_output` runs, and ends after half a minute."""
    return ["timeout", "30", "sh", "-c", command]


def test_a_run_begins_when_the_one_before_it_is_finished_whatever_others_do(tmp_path: Path) -> None:
    after = tmp_path / "after"
    planned = [
        PlannedRun(shell(f"until [ -e {after} ]; do sleep 0.05; done; printf slow"), "slow", None),
        PlannedRun(shell("printf fast"), "fast", None),
        PlannedRun(shell(f"touch {after}; printf after"), "after", "fast"),
    ]
    with WorkerProcesses(2) as workers:
        found = workers.run(planned, subprocess.check_output)
    assert found == {"slow": b"slow", "fast": b"fast", "after": b"after"}


def test_the_error_of_a_run_comes_through(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none.*: does not exist; name a checkpoint"):
        run_each(content_hash, [tmp_path / "none", tmp_path / "none either"])


def test_what_has_begun_ends_when_another_run_fails(tmp_path: Path) -> None:
    """The first run fails once the second has begun, which goes on for a second."""
    begun, ended, never = (tmp_path / name for name in ("begun", "ended", "never"))
    fails = shell(f"until [ -e {begun} ]; do sleep 0.05; done; exit 3")
    lasts = shell(f"touch {begun}; sleep 1; touch {ended}")
    planned = [
        PlannedRun(fails, "a", None),
        PlannedRun(lasts, "b", None),
        PlannedRun(shell(f"touch {never}"), "c", "a"),
    ]
    with pytest.raises(subprocess.CalledProcessError, match="exit status 3"), WorkerProcesses(2) as workers:
        workers.run(planned, subprocess.check_output)
    assert ended.exists() and not never.exists()


def test_a_killed_process_is_not_waited_for() -> None:
    with pytest.raises(UserError, match="one of 2 processes was killed, .*; the same command resumes"):
        run_each(os._exit, [9, 9])


@pytest.fixture
def all_end() -> Any:
    others = set(multiprocessing.active_children())  # of other tests in this process
    yield
    assert set(multiprocessing.active_children()) <= others


@pytest.mark.usefixtures("all_end")
def test_an_interrupt_ends_the_processes_at_once(capfd: pytest.CaptureFixture) -> None:
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_each(time.sleep, [30, 30, 30, 30])
    assert time.monotonic() - began < 15
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("all_end")
def test_an_error_before_the_first_run_ends_the_processes(capfd: pytest.CaptureFixture) -> None:
    with pytest.raises(UserError, match="something is lacking"), WorkerProcesses(2):
        raise UserError("something is lacking")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("visible", "jobs", "uses"),
    [(f"{MIG},1", 2, {MIG: 1, "1": 1}), ("4,5", 4, {"4": 2, "5": 2}), ("7", 2, {"7": 2}), ("", 2, {"": 2})],
)
def test_each_process_has_a_gpu_of_its_own_in_turn(
    visible: str, jobs: int, uses: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VISIBLE_GPUS, visible)
    command = f"sleep 1.5; echo $PPID ${VISIBLE_GPUS}"  # the sleep gives every process something to do
    said = run_each(subprocess.getoutput, [command] * 2 * jobs, jobs)
    gpus = dict((*line.split(), "")[:2] for line in said)
    assert Counter(gpus.values()) == uses
    assert os.environ[VISIBLE_GPUS] == visible
