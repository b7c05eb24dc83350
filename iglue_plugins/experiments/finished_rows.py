"""The rows of tables that are made of what is finished already; nothing is trained for them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from iglue_plugins.experiments.rows import plan_rows
from iglue_plugins.experiments.task_results import read_tasks, recipes_of
from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.reporting.results import RunResult
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.imports import heavy_imports


def read_finished(
    paths: Sequence[Path], seeds: Sequence[int], split: str, overrides: Sequence[str] = ()
) -> dict[str, dict[str, list[RunResult]]]:
    """Read the results of rows that `iglue compare` would not run anything for.

    Args:
        paths: Recipes, folders of recipes, folders of finished runs and folders that hold some, as `compare` takes
            them.
        seeds: The seeds of each recipe's runs.
        split: The split of the scores.
        overrides: `KEY.PATH=VALUE` settings for all recipes and the stages before them.

    Returns:
        For each task the results of each row's runs, by the row's label, the baseline first.

    Raises:
        UserError: A recipe is wrong or has a run that is not finished, or rows cannot be compared.
    """
    tasks = plan_rows(paths, seeds, split, overrides)
    settings = [part for override in overrides for part in ("--set", override)]
    command = ["iglue", "compare", *map(str, paths), "--seeds", ",".join(map(str, seeds)), "--split", split, *settings]
    return read_tasks(tasks, _finished_folders(recipes_of(tasks), split, shlex.join(command)), split)


def _finished_folders(recipes: Sequence[Recipe], split: str, command: str) -> list[Path]:
    """Find the finished run of each recipe; the command is that which makes what is lacking."""
    if not recipes:
        return []
    with heavy_imports():
        from iglue_plugins.runs import runner  # imports PyTorch, which finished runs do without

    runs = [runner.finished(recipe) for recipe in recipes]
    if lacking := [recipe for recipe, run in zip(recipes, runs, strict=True) if run is None]:
        more = f", nor those of {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise UserError(
            f"recipe '{lacking[0].name}': its run of seed {lacking[0].seed} on {lacking[0].task.name} is not finished, "
            f"or has no scores of {split} in all of its languages{more}; `{command}` makes what is lacking"
        )
    return [run.folder for run in runs if run is not None]
