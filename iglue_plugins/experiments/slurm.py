"""Runs as jobs of a cluster, by submitit, which is imported only where jobs are asked for."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.utils.errors import UserError, did_you_mean
from iglue_plugins.utils.progress import DISABLE_BARS, progress_bar
from iglue_plugins.utils.yaml import load_yaml

if TYPE_CHECKING:
    from submitit import AutoExecutor, Job
    from submitit.helpers import DelayedSubmission

CLUSTERS = ("slurm", "local")  # submitit's names
FOLDER = ".jobs"  # below the folder for runs: what submitit keeps of its jobs, their logs among it
DEFAULTS = {"name": "iglue", "timeout_min": 24 * 60}  # submitit's own would end a job after minutes
TASKS = ("nodes", "tasks_per_node", "slurm_ntasks_per_node")
PROGRAMS = ("sbatch", "srun")


def parse_parameters(cluster: str, parameters: Sequence[str]) -> dict[str, Any]:
    """What jobs are started with, from KEY=VALUE each, on top of the defaults.

    Raises:
        UserError: submitit or Slurm is not there, or a parameter that submitit does not know or take.
    """
    parsed = DEFAULTS | dict(map(_parameter, parameters))
    with tempfile.TemporaryDirectory() as folder:
        _executor(cluster, parsed, Path(folder))
    return parsed


class Work:
    """What a job does. After a preemption or a time-out submitit calls it again in a new job, and the run resumes."""

    def __init__(self, run: Callable[[Recipe], Path]) -> None:
        self.run = run

    def __call__(self, recipe: Recipe) -> Path | UserError:
        """A UserError is handed back; of any other, submitit hands back the traceback's text alone."""
        os.environ[DISABLE_BARS] = "1"
        try:
            return self.run(recipe)
        except UserError as error:
            return error

    def checkpoint(self, recipe: Recipe) -> DelayedSubmission:
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, recipe)


def run_jobs(
    run: Callable[[Recipe], Path],
    recipes: Sequence[Recipe],
    cluster: str,
    parameters: Mapping[str, Any],
    at_a_time: int,
    description: str,
) -> list[Path]:
    """What `run` gives for each recipe, when all jobs have ended: one array of jobs on Slurm, `at_a_time` here.

    Raises:
        UserError: with a line for each way in which jobs failed.
    """
    folder = recipes[0].runs / FOLDER / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    executor, work, jobs = _executor(cluster, parameters, folder), Work(run), []
    print(f"{description}: jobs for runs: {len(recipes)}, their logs: {folder}", file=sys.stderr)
    try:
        if cluster == "slurm":
            jobs += _sbatch(executor, work, recipes)
        else:
            for recipe in recipes:
                while sum(not job.done() for job in jobs) >= at_a_time:
                    time.sleep(0.2)
                with _errors_into(folder / "local.err"):
                    jobs.append(executor.submit(work, recipe))
        watched = progress_bar(iterable=zip(jobs, recipes), total=len(jobs), unit="run", desc=description)
        outcomes = [_outcome(job, recipe) for job, recipe in watched]
    except KeyboardInterrupt:
        _cancel(jobs, cluster)
        raise
    if failures := [str(outcome) for outcome in outcomes if isinstance(outcome, UserError)]:
        raise UserError("\n".join(dict.fromkeys(failures)))
    return outcomes


def _sbatch(executor: AutoExecutor, work: Work, recipes: Sequence[Recipe]) -> list[Job]:
    from submitit.core.utils import FailedSubmissionError, UncompletedJobError

    try:
        return executor.map_array(work, recipes)
    except (UncompletedJobError, FailedSubmissionError, TypeError) as error:
        message = f"sbatch: found {_line(error)}, expected it to take {len(recipes)} jobs; see --launch"
        raise UserError(message) from error


def _outcome(job: Job, recipe: Recipe) -> Path | UserError:
    """What a job gave, when it has ended, or a sentence that says where its log is."""
    from submitit.core.utils import FailedJobError, UncompletedJobError

    try:
        return job.result()
    except FailedJobError as error:
        trace = [line for line in str(error).splitlines() if line and not line.startswith((" ", "-", "You can check"))]
        how = "timed out too often" if "timed-out too many times" in str(error) else f"failed with {trace[-1]}"
    except UncompletedJobError:
        how = f"was killed, perhaps for want of memory or time (state {job.state})"
    return UserError(
        f"job {job.job_id} ({recipe.name}, seed {recipe.seed}) {how}; its log is {job.paths.stderr}, and "
        "the same command resumes"
    )


def _cancel(jobs: Sequence[Job], cluster: str) -> None:
    running = [job for job in jobs if not job.done()]
    for job in running:
        job.cancel(check=False)
    print(f"jobs cancelled: {len(running)}", file=sys.stderr)
    if cluster == "local":
        for job in running:
            job.wait()


@contextmanager
def _errors_into(path: Path) -> Iterator[None]:
    """Processes that start meanwhile write errors there: a local job's supervisor shows where Ctrl-C hit it."""
    with path.open("ab") as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _executor(cluster: str, parameters: Mapping[str, Any], folder: Path) -> AutoExecutor:
    try:
        import submitit
    except ImportError:
        raise UserError(
            f"--launcher {cluster}: found no submitit, expected it to be installed: pip install 'iglue_plugins[slurm]'"
        ) from None
    if cluster == "slurm" and (missing := [name for name in PROGRAMS if shutil.which(name) is None]):
        raise UserError(
            f"--launcher slurm: found no {missing[0]} on PATH, expected a machine that submits jobs to Slurm"
        )
    _check_parameters(parameters)
    executor = submitit.AutoExecutor(folder, cluster=cluster)
    try:
        executor.update_parameters(**parameters)
    except (TypeError, ValueError) as error:
        raise UserError(f"--launch: found {_line(error)}, expected parameters that submitit takes") from error
    return executor


def _check_parameters(parameters: Mapping[str, Any]) -> None:
    from submitit import AutoExecutor
    from submitit.core.plugins import get_executors

    types = AutoExecutor._typed_parameters()
    of_clusters = {
        f"{cluster}_{name}" for cluster in CLUSTERS for name in (*types, *get_executors()[cluster]._valid_parameters())
    }
    for key, value in parameters.items():
        if key not in types and key not in of_clusters:
            raise UserError(
                f"--launch {key}: found an unknown parameter, expected one that submitit knows"
                f"{did_you_mean(key, {*types, *of_clusters})}"
            )
        if key.removeprefix("local_") in TASKS and value != 1:
            raise UserError(f"--launch {key}: found {value}, expected 1; each run is a job of one process")
        kind = types.get(key, object)
        if not isinstance(value, (int, float) if kind is float else kind):
            raise UserError(f"--launch {key}: found {value!r}, expected a value of type {kind.__name__}")


def _parameter(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UserError(f"--launch: found '{text}', expected KEY=VALUE, such as slurm_partition=gpu")
    try:
        return key, load_yaml(value)
    except yaml.YAMLError as error:
        raise UserError(f"--launch {key}: found '{value}', expected a value in YAML: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
