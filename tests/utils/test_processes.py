"""Processes that end with the one that they work for."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import is_running

RUN_FOR_LONG = """
import multiprocessing, threading, time
from iglue_plugins.experiments.worker_processes import PlannedRun, WorkerProcesses

def report():
    while len(multiprocessing.active_children()) < 2:
        time.sleep(0.05)
    time.sleep(1)  # for the processes to have begun
    print(*(process.pid for process in multiprocessing.active_children()), flush=True)

if __name__ == "__main__":
    threading.Thread(target=report, daemon=True).start()
    with WorkerProcesses(2) as workers:
        workers.run([PlannedRun(60, "a", None), PlannedRun(60, "b", None)], time.sleep)
"""


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_works_on_when_the_command_is_gone(stop: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "command.py").write_text(RUN_FOR_LONG)
    with subprocess.Popen([sys.executable, tmp_path / "command.py"], stdout=subprocess.PIPE, text=True) as command:
        processes = [int(number) for number in command.stdout.readline().split()]
        command.send_signal(stop)
    assert len(processes) == 2
    deadline = time.monotonic() + 30
    while any(map(is_running, processes)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
