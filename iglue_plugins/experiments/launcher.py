"""Running several recipes: one after the other, in processes of this machine, or as jobs of a cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from iglue_plugins.experiments import slurm
from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.utils.errors import UserError, did_you_mean
from iglue_plugins.utils.progress import DISABLE_BARS, progress_bar

LAUNCHERS = ("processes", *slurm.CLUSTERS)


@dataclass(frozen=True)
class Launch:
    """Where runs are made: `jobs` at a time on this machine ('processes', 'local'), or all as jobs of 'slurm'.

    `parameters` are those of the jobs, by submitit's names.
    """

    launcher: str = "processes"
    jobs: int = 1
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, launcher: str, jobs_at_a_time: int, parameters: Sequence[str]) -> Launch:
        """From command-line options, `parameters` as KEY=VALUE.

        Raises:
            UserError: no such launcher, submitit or Slurm is not there, or a parameter that submitit does not know.
        """
        if launcher not in LAUNCHERS:
            raise UserError(f"--launcher: found '{launcher}', expected a launcher{did_you_mean(launcher, LAUNCHERS)}")
        if launcher != "processes":
            return cls(launcher, jobs_at_a_time, slurm.parse_parameters(launcher, parameters))
        if parameters:
            raise UserError(f"--launch: found '{parameters[0]}', expected --launcher slurm or local beside it")
        return cls(launcher, jobs_at_a_time)


def run_all(recipes: Sequence[Recipe], launch: Launch) -> list[Path]:
    """Run the recipes and return their folders; stages that several start from are run first, and once.

    Raises:
        UserError: of a run, or when one of the processes or jobs was killed.
    """
    if launch.launcher != "processes":
        return _run_as_jobs(recipes, launch)
    count = min(launch.jobs, len(recipes))
    if count <= 1:
        return [_run(recipe) for recipe in recipes]
    context, needed = multiprocessing.get_context("spawn"), stages(recipes)
    with ProcessPoolExecutor(count, context, _prepare_worker) as pool:
        try:
            for number, stage in enumerate(needed, start=1):
                runs = [pool.submit(_run, recipe) for recipe in stage]
                watched = progress_bar(iterable=runs, unit="run", desc=f"stage {number} of {len(needed)}")
                folders = [run.result() for run in watched]
        except BrokenProcessPool as error:
            raise UserError(
                f"one of {count} processes was killed, perhaps for want of memory, expected --jobs that "
                "fit; the same command resumes"
            ) from error
        except KeyboardInterrupt:  # whatever is running can be resumed, so there is nothing to wait for
            for process in multiprocessing.active_children():
                process.terminate()
            raise
        except Exception:  # runs that have begun may end, so that nothing of them is lost
            pool.shutdown(cancel_futures=True)
            raise
    return folders


def _run_as_jobs(recipes: Sequence[Recipe], launch: Launch) -> list[Path]:
    """A stage at a time; on Slurm a stage is one array of slurm. Runs that are finished take none."""
    folders, needed = [], stages(recipes)
    for number, stage in enumerate(needed, start=1):
        folders = [_finished(recipe) for recipe in stage]
        lacking = [index for index, folder in enumerate(folders) if folder is None]
        if lacking:
            made = slurm.run_jobs(
                _run,
                [stage[index] for index in lacking],
                launch.launcher,
                launch.parameters,
                launch.jobs,
                f"stage {number} of {len(needed)}",
            )
            for index, folder in zip(lacking, made):
                folders[index] = folder
    return folders


def _finished(recipe: Recipe) -> Path | None:
    from iglue_plugins.runs import runner

    run = runner.finished(recipe)
    return run and run.folder


def stages(recipes: Sequence[Recipe]) -> list[list[Recipe]]:
    """Lists of recipes to run one after the other: what the next list starts from, each once; last the recipes."""
    previous = {same_run(stage): stage for recipe in recipes if (stage := recipe.previous()) is not None}
    return [*(stages(list(previous.values())) if previous else []), list(recipes)]


def same_run(recipe: Recipe) -> str:
    """Equal for recipes of one run: auxiliary languages do not count where nothing is trained on them."""
    data = recipe.to_dict()
    return repr(data if recipe.trains_on == "auxiliary" else data | {"auxiliary_languages": []})


def _prepare_worker() -> None:
    """Leave Ctrl-C and bars to the parent, and give tqdm a lock that nobody misses when the parent ends the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ[DISABLE_BARS] = "1"
    tqdm.set_lock(threading.RLock())


def _run(recipe: Recipe) -> Path:
    from iglue_plugins.runs import runner

    return runner.run(recipe).folder
