"""Processes of this machine that run recipes, each as soon as the stage before it is finished."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.context import SpawnContext
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from types import TracebackType
from typing import Any

from tqdm import tqdm

from iglue_plugins.experiments.devices import VISIBLE_GPUS, visible_gpus
from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.imports import heavy_imports
from iglue_plugins.utils.processes import terminate_with_parent
from iglue_plugins.utils.progress import DISABLE_BARS, prints_lines, progress_bar


@dataclass(frozen=True)
class PlannedRun:
    """A run, and the one that it starts from.

    Attributes:
        recipe: The recipe.
        name: What tells the run from others.
        before: The name of the run that has to be finished first; None if it starts from none.
    """

    recipe: Recipe
    name: str
    before: str | None


class WorkerProcesses:
    """A pool of processes; they import what runs need from when the block of `with` is entered.

    At the end of the block they end. Where it ends by an error, runs that have begun may end first, so that nothing of
    them is lost; an interrupt ends them at once, since whatever is running can be resumed.

    Args:
        count: The number of processes.
    """

    def __init__(self, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._count = count
        self._pool = ProcessPoolExecutor(count, context, _prepare_worker, (_gpu_of_each_worker(context, count),))
        self._processes: set[Any] = set()
        self._has_begun = False

    def __enter__(self) -> WorkerProcesses:
        others = set(multiprocessing.active_children())
        for _ in range(self._count):
            self._pool.submit(int)  # each call starts a process, as long as none is waiting for work
        self._processes = set(multiprocessing.active_children()) - others
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        is_interrupted = kind is not None and not issubclass(kind, Exception)
        if kind is not None and (is_interrupted or not self._has_begun):
            for process in self._processes:
                process.terminate()
        self._pool.shutdown(wait=kind is not None, cancel_futures=True)

    def run(self, planned: Sequence[PlannedRun], run: Callable[[Recipe], Path]) -> dict[str, Path]:
        """Run recipes.

        Args:
            planned: The runs, each after the one that it starts from. Those that can begin do so in this order.
            run: Runs a recipe in one of the processes, and returns the folder of its run.

        Returns:
            The folder of each run, by its name.

        Raises:
            UserError: A run fails, or a process is killed.
        """
        folders: dict[str, Path] = {}
        waiting, going = list(planned), dict[Future[Path], str]()
        with progress_bar(total=len(planned), unit="run") as bar:
            try:
                while waiting or going:
                    for ready in [one for one in waiting if one.before is None or one.before in folders]:
                        waiting.remove(ready)
                        self._has_begun = True
                        going[self._pool.submit(run, ready.recipe)] = ready.name
                    ended, _ = wait(going, return_when=FIRST_COMPLETED)
                    for future in [one for one in going if one in ended]:
                        folders[going.pop(future)] = future.result()
                        bar.update()
            except BrokenProcessPool as error:
                raise self._killed() from error
        return folders

    def _killed(self) -> UserError:
        return UserError(
            f"one of {self._count} processes was killed, perhaps for want of memory; the same command resumes, and a "
            "lower --jobs takes less memory"
        )


def _gpu_of_each_worker(context: SpawnContext, count: int) -> SimpleQueue[str | None]:
    """Return a queue from which each of `count` processes takes the name of its GPU, or None if there is none."""
    gpus, queue = visible_gpus(), context.SimpleQueue()
    for number in range(count):
        queue.put(gpus[number % len(gpus)] if gpus else None)
    return queue


def _prepare_worker(gpus: SimpleQueue[str | None]) -> None:
    """Take a GPU, leave Ctrl-C and progress bars to the parent process, end when it has ended, and import.

    tqdm gets a lock of threads, since the parent may end this process while it holds the lock. What is imported stays,
    so that collections of garbage leave it out; each training begins with one.

    Args:
        gpus: The queue with the GPU of each worker process.
    """
    if (gpu := gpus.get()) is not None:
        os.environ[VISIBLE_GPUS] = gpu
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    terminate_with_parent()
    if not prints_lines():
        os.environ[DISABLE_BARS] = "1"
    tqdm.set_lock(threading.RLock())
    with heavy_imports():
        from iglue_plugins.runs import runner  # noqa: F401
