"""The lock of a run, under a launcher that starts several processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

from iglue_plugins.runs.folder import Run

LOCK = """
from datetime import timedelta
from accelerate import PartialState
PartialState(cpu=True, timeout=timedelta(seconds=4))
with runner.locked_run(Run(recipe)):
    print("locked")
"""


def test_no_process_times_out_while_the_main_one_waits_for_a_lock(
    start_two: Callable[..., list[BaseProcess]], tmp_path: Path
) -> None:
    with Run(tmp_path / "recipe.yaml").lock():
        started = start_two(LOCK)
        log = tmp_path / "log0"
        while not log.exists() or "waiting for the lock" not in log.read_text():
            assert all(process.is_alive() for process in started)
            time.sleep(0.1)
        time.sleep(6)
    for process in started:
        process.join(60)
    assert [process.exitcode for process in started] == [0, 0]
    said = [(tmp_path / f"log{rank}").read_text().splitlines() for rank in range(2)]
    assert (len(said[0]), said[0][1:], said[1]) == (2, ["locked"], ["locked"])


def test_all_processes_hear_that_the_main_one_cannot_lock(
    start_two: Callable[..., list[BaseProcess]], tmp_path: Path
) -> None:
    (tmp_path / "runs").write_text("a file in the way")
    both = start_two(
        "with cli.exit_on_user_error(), runner.locked_run(Run(Path(recipe).parent / 'runs' / 'x-ab')): pass"
    )
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [2, 2]
    for rank in range(2):
        assert "runs/x-ab: cannot be written" in (tmp_path / f"log{rank}").read_text()
