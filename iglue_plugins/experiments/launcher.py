"""Running several recipes: one after the other, in processes of this machine, or as jobs of a cluster."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iglue_plugins.experiments import slurm
from iglue_plugins.experiments.worker_processes import PlannedRun, WorkerProcesses
from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.utils.errors import UserError, did_you_mean
from iglue_plugins.utils.imports import heavy_imports

LAUNCHERS = ("processes", *slurm.CLUSTERS)


@dataclass(frozen=True)
class Launch:
    """How runs are started.

    Attributes:
        launcher: "processes" (of this machine), "local" (submitit's jobs on this machine) or "slurm" (of a cluster).
        jobs: How many runs go at a time on this machine. Slurm decides for itself.
        parameters: Parameters of jobs, by submitit's names.
    """

    launcher: str = "processes"
    jobs: int = 1
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, launcher: str, jobs_at_a_time: int, parameters: Sequence[str]) -> Launch:
        """Read the options of a command line.

        Args:
            launcher: One of `LAUNCHERS`.
            jobs_at_a_time: How many runs go at a time on this machine.
            parameters: A `KEY=VALUE` for each parameter of jobs.

        Returns:
            The options, checked.

        Raises:
            UserError: There is no such launcher, submitit or Slurm is not installed, or submitit does not know a
                parameter.
        """
        if launcher not in LAUNCHERS:
            raise UserError(f"--launcher: there is no launcher '{launcher}'{did_you_mean(launcher, LAUNCHERS)}")
        if launcher != "processes":
            return cls(launcher, jobs_at_a_time, slurm.parse_parameters(launcher, parameters))
        if parameters:
            raise UserError(
                f"--launch {parameters[0]}: processes take no parameters; add --launcher slurm or --launcher local"
            )
        return cls(launcher, jobs_at_a_time)


def require_all(recipes: Iterable[Recipe]) -> None:
    """Look, before the first run, for all that recipes and the stages before them need.

    Args:
        recipes: The recipes.

    Raises:
        UserError: Something is missing, damaged or does not fit; all of it is named. Or a recipe is a smoke test.
    """
    recipes = list(recipes)
    if not recipes:  # a comparison of finished runs imports no PyTorch
        return
    for recipe in recipes:
        if recipe.limit is not None:
            raise UserError(f"recipe '{recipe.name}': has limit {recipe.limit}, a smoke test; try it by `iglue run`")
    with heavy_imports():
        from iglue_plugins.runs import preflight, runner

    preflight.require([stage for recipe in recipes for stage in runner.unfinished_stages(recipe)])


@contextmanager
def launching(recipes: Sequence[Recipe], launch: Launch) -> Iterator[Callable[[], list[Path]]]:
    """Start what runs recipes, so that it is ready once `require_all` has looked for what they need.

    Args:
        recipes: The recipes.
        launch: How to start them.

    Yields:
        A function that runs the recipes, to be called in the block once; see `run_all`.
    """
    if launch.launcher != "processes":
        yield lambda: _run_as_jobs(recipes, launch)
    elif (count := min(launch.jobs, len(recipes))) <= 1:
        yield lambda: _run_planned(recipes, lambda planned: {one.name: _run(one.recipe) for one in planned})
    else:
        with WorkerProcesses(count) as workers:
            yield lambda: _run_planned(recipes, lambda planned: workers.run(planned, _run))


def run_all(recipes: Sequence[Recipe], launch: Launch) -> list[Path]:
    """Run recipes, after `require_all`. Stages that several of them start from are run first, and once.

    Args:
        recipes: The recipes.
        launch: How to start them.

    Returns:
        The folders of the runs, in the order of the recipes.

    Raises:
        UserError: A run fails, or one of the processes or jobs is killed.
    """
    with launching(recipes, launch) as run:
        return run()


def _run_planned(
    recipes: Sequence[Recipe], run_planned: Callable[[Sequence[PlannedRun]], Mapping[str, Path]]
) -> list[Path]:
    """Run recipes and the stages before them, each run once, by what runs a plan and returns folders by name."""
    planned: dict[str, PlannedRun] = {}
    for recipe in itertools.chain.from_iterable(stages(recipes)):
        previous, name = recipe.previous(), same_run(recipe)
        planned.setdefault(name, PlannedRun(recipe, name, None if previous is None else same_run(previous)))
    folders = run_planned(list(planned.values()))
    return [folders[same_run(recipe)] for recipe in recipes]


def _run_as_jobs(recipes: Sequence[Recipe], launch: Launch) -> list[Path]:
    """Run a stage at a time; on Slurm a stage is one array of jobs. Finished runs take no job."""
    folders: list[Path] = []
    needed = stages(recipes)
    for number, stage in enumerate(needed, start=1):
        finished = [_finished_folder(recipe) for recipe in stage]
        missing = [recipe for recipe, folder in zip(stage, finished, strict=True) if folder is None]
        made = iter(
            slurm.run_jobs(
                _run, missing, launch.launcher, launch.parameters, launch.jobs, f"stage {number} of {len(needed)}"
            )
            if missing
            else ()
        )
        folders = [next(made) if folder is None else folder for folder in finished]
    return folders


def _finished_folder(recipe: Recipe) -> Path | None:
    from iglue_plugins.runs import runner

    run = runner.finished(recipe)
    return run.folder if run else None


def stages(recipes: Sequence[Recipe]) -> list[list[Recipe]]:
    """Order recipes and the stages before them.

    Args:
        recipes: The recipes.

    Returns:
        Lists to run one after the other. Each list holds what the next one starts from, each recipe once; the last list
        holds the recipes themselves.
    """
    previous = {same_run(stage): stage for recipe in recipes if (stage := recipe.previous()) is not None}
    return [*(stages(list(previous.values())) if previous else []), list(recipes)]


def same_run(recipe: Recipe) -> str:
    """Return a text that is equal for recipes of one run: those that agree in what they and the stages before read.

    Args:
        recipe: A recipe.
    """
    data, previous = recipe.to_dict(), recipe.previous()
    if recipe.trains_on != "auxiliary":
        data["auxiliary_languages"] = []
    if recipe.trains_on == "source":
        of_splits = getattr(recipe.plugin("task")[0].Settings, "split_settings", {})
        data["task"] = {key: data["task"][key] for key in data["task"].keys() - of_splits.get("auxiliary", ())}
    before = same_run(previous) if previous is not None else data["start_from"]
    return json.dumps([data | {"start_from": before, "start_from_settings": []}], sort_keys=True)


def _run(recipe: Recipe) -> Path:
    from iglue_plugins.runs import runner

    return runner.run(recipe, checked=True).folder
