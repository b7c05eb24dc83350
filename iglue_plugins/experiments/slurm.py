"""Runs as jobs of a cluster, by submitit, which is imported only where jobs are asked for."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from iglue_plugins.experiments.devices import VISIBLE_GPUS, least_used, visible_gpus
from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.utils.errors import UserError, did_you_mean
from iglue_plugins.utils.lines import say
from iglue_plugins.utils.progress import progress_bar
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
    """Read the parameters of jobs from a command line.

    Args:
        cluster: "slurm" or "local".
        parameters: A `KEY=VALUE` for each parameter, by submitit's names.

    Returns:
        The defaults, changed by these parameters.

    Raises:
        UserError: submitit or Slurm is not installed, or submitit does not know or take a parameter.
    """
    parsed = DEFAULTS | dict(map(_parameter, parameters))
    with tempfile.TemporaryDirectory() as folder:
        _executor(cluster, parsed, Path(folder))
    return parsed


class Work:
    """What a job does.

    After a preemption or a time-out, submitit calls it again in a new job, in which the run resumes.

    Args:
        run: Runs a recipe and returns the run's folder.
        gpu: The GPU that the job uses; None leaves it with those that it is given.
    """

    def __init__(self, run: Callable[[Recipe], Path], gpu: str | None = None) -> None:
        self.run = run
        self.gpu = gpu

    def __call__(self, recipe: Recipe) -> Path | UserError:
        """Run a recipe.

        A UserError is returned rather than raised, because submitit passes on only the text of a traceback.

        Args:
            recipe: The recipe.

        Returns:
            The run's folder, or the error.
        """
        if self.gpu is not None:
            os.environ[VISIBLE_GPUS] = self.gpu
        try:
            return self.run(recipe)
        except UserError as error:
            return error

    def checkpoint(self, recipe: Recipe) -> DelayedSubmission:
        """Tell submitit to submit the same recipe again when a job is preempted or out of time."""
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
    """Run recipes as jobs, one array of jobs on Slurm, and wait until all have ended.

    Args:
        run: Runs a recipe and returns the run's folder; it is called in the job.
        recipes: The recipes, at least one.
        cluster: "slurm" or "local".
        parameters: Parameters of the jobs, as `parse_parameters` returns them.
        at_a_time: How many jobs go at a time, with "local".
        description: What the progress bar says.

    Returns:
        The folders of the runs.

    Raises:
        UserError: Jobs failed; it has a line for each way in which they did.
    """
    folder = recipes[0].runs / FOLDER / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    executor, jobs = _executor(cluster, parameters, folder), []
    say(f"{description}: jobs for runs: {len(recipes)}, their logs: {folder}")
    try:
        if cluster == "slurm":
            jobs += _sbatch(executor, Work(run), recipes)
        else:
            available, gpus = _local_gpus(parameters), dict[str, str | None]()  # the GPU of each job, by its id
            for recipe in recipes:
                while len(running := [job.job_id for job in jobs if not job.done()]) >= at_a_time:
                    time.sleep(0.2)
                gpu = least_used(available, [gpus[id_] for id_ in running])
                with _errors_into(folder / "local.err"):
                    jobs.append(executor.submit(Work(run, gpu), recipe))
                gpus[jobs[-1].job_id] = gpu
        watched = progress_bar(iterable=zip(jobs, recipes, strict=True), total=len(jobs), unit="run", desc=description)
        outcomes = [_outcome(job, recipe) for job, recipe in watched]
    except KeyboardInterrupt:
        _cancel(jobs, cluster)
        raise
    if failures := [str(outcome) for outcome in outcomes if isinstance(outcome, UserError)]:
        raise UserError("\n".join(dict.fromkeys(failures)))
    return [outcome for outcome in outcomes if not isinstance(outcome, UserError)]


def _local_gpus(parameters: Mapping[str, Any]) -> list[str]:
    """Return the GPUs for jobs on this machine; submitit would give all of them the first ones, or none."""
    asks_for_none = 0 in (parameters.get("gpus_per_node"), parameters.get("local_gpus_per_node"))
    return [] if asks_for_none else visible_gpus()


def _sbatch(executor: AutoExecutor, work: Work, recipes: Sequence[Recipe]) -> list[Job]:
    from submitit.core.utils import FailedSubmissionError, UncompletedJobError

    try:
        return executor.map_array(work, recipes)
    except (UncompletedJobError, FailedSubmissionError, TypeError) as error:
        message = f"sbatch did not take {len(recipes)} jobs ({_line(error)}); change their parameters by --launch"
        raise UserError(message) from error


def _outcome(job: Job, recipe: Recipe) -> Path | UserError:
    """Wait for a job, and return the run's folder or an error that says where the job's log is."""
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
    say(f"jobs cancelled: {len(running)}")
    if cluster == "local":
        for job in running:
            job.wait()


@contextmanager
def _errors_into(path: Path) -> Iterator[None]:
    """Send the standard error of processes that start meanwhile to a file.

    The process that watches a local job would otherwise print a traceback on Ctrl-C.
    """
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
            f"--launcher {cluster}: submitit is not installed; pip install 'iglue_plugins[slurm]'"
        ) from None
    if cluster == "slurm" and (missing := [name for name in PROGRAMS if shutil.which(name) is None]):
        raise UserError(
            f"--launcher slurm: there is no {missing[0]} on PATH; run this on a machine that submits jobs to Slurm"
        )
    _check_parameters(parameters)
    executor = submitit.AutoExecutor(folder, cluster=cluster)
    try:
        executor.update_parameters(**parameters)
    except (TypeError, ValueError) as error:
        raise UserError(f"--launch: submitit does not take {_listed(parameters)} ({_line(error)})") from error
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
                f"--launch {key}: submitit knows no such parameter{did_you_mean(key, {*types, *of_clusters})}"
            )
        if key.removeprefix("local_") in TASKS and value != 1:
            raise UserError(f"--launch {key}: it is {value}, but each run is a job of one process; leave it at 1")
        kind = types.get(key, object)
        if not isinstance(value, (int, float) if kind is float else kind):
            raise UserError(f"--launch {key}: {value!r} is not of type {kind.__name__}, which submitit asks for")


def _parameter(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UserError(f"--launch: '{text}' is not of the form KEY=VALUE, such as slurm_partition=gpu")
    try:
        return key, load_yaml(value)
    except yaml.YAMLError as error:
        raise UserError(f"--launch {key}: '{value}' is not a value in YAML ({_line(error)})") from error


def _listed(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in parameters.items() if DEFAULTS.get(key) != value)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
