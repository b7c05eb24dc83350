"""What a recipe would run, and what that takes, without running it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich.filesize import decimal

from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs import preflight, runner
from iglue_plugins.runs.adaptation import target_languages
from iglue_plugins.runs.environment import describe_device
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.plugins import make_task, make_trainer
from iglue_plugins.runs.state import RunState
from iglue_plugins.runs.status import as_mapping, folder_size, reached, run_folders
from iglue_plugins.trainers.base import LanguageAdapter
from iglue_plugins.utils import distributed
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.notices import quiet_libraries
from iglue_plugins.utils.text import duration


@dataclass(frozen=True)
class Stage:
    """What is to be done for one stage.

    Attributes:
        recipe: The stage.
        what: What would happen, in words.
        is_reused: Whether nothing is left to do.
        seconds: About how long it takes; None if it is not known.
        weights: The bytes of the weights; None if they are not known.
        trains: Whether a training is to be begun or resumed.
    """

    recipe: Recipe
    what: str
    is_reused: bool = False
    seconds: float | None = None
    weights: int | None = None
    trains: bool = True


@dataclass(frozen=True)
class Plan:
    """What a recipe would run.

    Attributes:
        stages: The stages in their order, the last of them the recipe itself.
        lacking: A sentence for each thing that is lacking.
    """

    stages: list[Stage]
    lacking: list[str]

    def describe(self) -> Iterator[str]:
        """Yield the plan in lines."""
        for stage in self.stages:
            recipe, limit = stage.recipe, f", limited to {stage.recipe.limit}" if stage.recipe.limit else ""
            of = f"{recipe.name} (seed {recipe.seed}{limit}), {recipe.trainer.name} on {recipe.task.name}"
            yield f"{of}: {stage.what}"
        to_do = [stage for stage in self.stages if not stage.is_reused]
        if to_do:
            yield f"disk: {_room(to_do)}"
            times = [stage.seconds for stage in to_do]
            total = duration(sum(time for time in times if time is not None))
            yield "time: unknown" if None in times else f"time: about {total}, by earlier runs"
        yield from self.lacking or ["nothing is lacking"]


def make_plan(recipe: Recipe) -> Plan:
    """Find out what a recipe would run, what that lacks, and what it takes.

    Room and time are estimated: from the weights that the recipe names and from runs of the same task, model and
    trainer in its folder for runs, times from those on the same device.

    Args:
        recipe: The resolved recipe.

    Returns:
        The plan.

    Raises:
        UserError: A record is damaged.
    """
    quiet_libraries()
    stages = [recipe]
    while (before := stages[0].previous()) is not None:
        stages.insert(0, before)
    unfinished = runner.unfinished_stages(recipe)
    earlier = _earlier_records(recipe)
    planned = [_plan_stage(stage, earlier, stage in unfinished) for stage in stages]
    return Plan(planned, preflight.lacking(unfinished))


def _plan_stage(recipe: Recipe, earlier: list[tuple[Run, dict[str, Any]]], is_unfinished: bool) -> Stage:
    similar = [(run, record) for run, record in earlier if _is_similar(record, recipe)]
    weights = preflight.weights_size(recipe) or next((folder_size(run.model_dir) for run, _ in similar), 0) or None
    try:
        run = runner.planned_run(recipe)
        state = RunState(recipe, run, make_task(recipe), run.latest_record() or {"scores": {}}, make_trainer(recipe))
        missing = state.missing_scores()
    except UserError:  # which `preflight` says better
        return Stage(recipe, "to be run, but something is lacking", not is_unfinished, weights=weights)
    if not is_unfinished:
        return Stage(recipe, f"finished before, reused: {run.folder}", True)
    steps = _steps_to_do(state)
    adapted = [name for name in target_languages(recipe) if any(name == language for _, language in missing)]
    languages = len(adapted) if isinstance(state.trainer, LanguageAdapter) else 0
    seconds = _estimate(recipe, similar, steps, languages, len(missing))
    said = [_beginning(state, steps), f"{len(missing)} language{'s' * (len(missing) != 1)} to evaluate"]
    said += [f"about {duration(seconds)}" if seconds is not None else "time unknown", str(run.folder)]
    if (holder := run.lock_file().held_by()) is not None:
        said.append(f"now run by {holder}")
    trains = not run.model_dir.is_dir() and not languages
    return Stage(recipe, ", ".join(filter(None, said)), False, seconds, weights, trains)


def _steps_to_do(state: RunState) -> int | None:
    """Count the optimizer steps that are left of a training; None where that is not known, or models are adapted."""
    if isinstance(state.trainer, LanguageAdapter):
        return None
    if state.run.model_dir.is_dir():
        return 0
    try:
        steps = preflight.count_steps(state.recipe, state.task, state.trainer)
    except UserError:
        return None
    found = reached(state.run)
    return max(steps - found.step, 0) if found else steps


def _beginning(state: RunState, steps: int | None) -> str:
    if state.run.model_dir.is_dir():
        return "trained before"
    if isinstance(state.trainer, LanguageAdapter):
        return "a model for each language"
    found = reached(state.run)
    beginning = f"resumes at {found}" if found else "new"
    return beginning if steps is None else f"{beginning}, {steps} step{'s' * (steps != 1)} to train"


def _earlier_records(recipe: Recipe) -> list[tuple[Run, dict[str, Any]]]:
    """Read the records of the finished runs in the folder for runs that are no smoke tests."""
    found = []
    for folder in run_folders(recipe.runs) if recipe.runs.is_dir() else []:
        try:
            record = Run(folder).record()
        except UserError:
            continue
        if record and record.get("limit") is None:
            found.append((Run(folder), record))
    return found


def _is_similar(record: dict[str, Any], recipe: Recipe) -> bool:
    """Tell whether a record is of the task, model and trainer of a recipe."""
    model = as_mapping(as_mapping(record.get("recipe")).get("model")).get("name")
    named = record.get("task"), record.get("trainer"), model
    return named == (recipe.task.name, recipe.trainer.name, recipe.model.name)


def _estimate(
    recipe: Recipe,
    similar: list[tuple[Run, dict[str, Any]]],
    steps: int | None,
    languages: int,
    evaluated: int,
) -> float | None:
    """Estimate the seconds of a stage by the medians of earlier runs on this device; None without one."""
    device = describe_device(distributed.device())
    rates = [rates for _, record in similar if _device(record) == device and (rates := _rates(record)) is not None]
    if not rates or (steps is None and not languages):
        return None
    step, adaptation, example, examples = (median(values) for values in zip(*rates, strict=True))
    training = adaptation * languages if languages else step * (steps or 0)
    return training + evaluated * example * min(recipe.limit or examples, examples)


def _device(record: dict[str, Any]) -> str | None:
    processes = record.get("processes")
    return as_mapping(processes[-1]).get("device") if isinstance(processes, list) and processes else None


def _rates(record: dict[str, Any]) -> tuple[float, float, float, float] | None:
    """Return the seconds of a step, of an adaptation and of an evaluated example, and the examples of a language."""
    try:
        timings, adapted = record["timings"], len(as_mapping(record.get("adaptation")).get("languages", ()))
        counts = [found["examples"] for split in record["scores"].values() for found in split.values()]
        training, evaluation = float(timings["training_seconds"]), float(timings["evaluation_seconds"])
        return (
            training / record["steps"],
            training / max(adapted, 1),
            evaluation / sum(counts),
            sum(counts) / len(counts),
        )
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError):  # somebody has edited it
        return None


def _room(stages: list[Stage]) -> str:
    """Say what the models and checkpoints of stages take."""
    sizes = [stage.weights for stage in stages if stage.trains]
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        return "unknown"
    if not known:
        return "nothing but predictions"
    return f"about {decimal(preflight.room(known))} while it trains, {decimal(sum(known))} when it is finished"
