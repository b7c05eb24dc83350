"""The rows of a comparison: recipes and finished runs, checked against each other before anything runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iglue_plugins.experiments.row_checks import check_rows, check_targets, listed
from iglue_plugins.recipes.recipe import Recipe, load_recipe
from iglue_plugins.reporting.lmms_eval_results import RESULTS
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.record_checks import read_record
from iglue_plugins.runs.status import run_folders
from iglue_plugins.runs.training_settings import differing_settings, training_settings
from iglue_plugins.utils.errors import UserError


def expanded(rows: Sequence[Path]) -> list[Path]:
    """Replace folders of recipes by their recipes, finetune.yaml first, and folders of runs by their finished runs.

    Args:
        rows: Recipes, folders of recipes, folders of finished runs, and folders that hold finished runs.

    Returns:
        Recipes and folders of finished runs.

    Raises:
        UserError: A path is none of these.
    """
    found = []
    for path in rows:
        if Run(path).is_finished or path.suffix in (".yaml", ".yml"):
            found.append(path)
            continue
        if path.name.endswith(RESULTS):
            raise UserError(f"{path}: this is a result file of lmms-eval; add it by --lmms-eval {path}")
        recipes = sorted(path.glob("*.yaml"), key=lambda recipe: (recipe.stem != "finetune", recipe.stem))
        inside = recipes or finished_runs(path)
        if not inside:
            raise UserError(
                f"{path}: there is neither a record.json nor a recipe nor a finished run; name a recipe (.yaml), a "
                "folder of recipes, the folder of a finished run or a folder that holds some"
            )
        found += inside
    return found


def finished_runs(folder: Path) -> list[Path]:
    """List the finished runs in a folder, those of the trainer `finetune` first, which are their tasks' baselines.

    Runs that were set aside, as `iglue run --again` does, and smoke tests are left out.

    Args:
        folder: A folder, which need not exist.

    Raises:
        UserError: A record is damaged.
    """
    paths = [path for path in (run_folders(folder) if folder.is_dir() else []) if ".before-" not in path.name]
    records = {path: read_record(path) for path in paths if Run(path).is_finished}
    runs = [path for path, record in records.items() if record.get("limit") is None]
    return sorted(runs, key=lambda path: (records[path]["trainer"] != "finetune", path.name))


def load_rows(
    paths: Sequence[Path], seeds: Sequence[int], split: str, overrides: Sequence[str]
) -> dict[Path, list[Recipe]]:
    """Load the recipes of a comparison.

    A row that starts from another row starts from it as it is in the table: overrides of its trainer reach it.

    Args:
        paths: The recipes.
        seeds: The seeds with which each recipe is run.
        split: The split that is compared.
        overrides: `KEY.PATH=VALUE` settings for all recipes.

    Returns:
        For each path the recipe with each seed.

    Raises:
        RecipeError: A recipe has problems.
    """
    plain = {path: load_recipe(path, overrides) for path in paths}
    rows = {_without_trainer_settings(recipe) for recipe in plain.values()}
    loaded = {}
    for path, recipe in plain.items():
        starts_from_a_row = any(_without_trainer_settings(stage) in rows for stage in _stages_before(recipe))
        everywhere, own = (overrides, []) if starts_from_a_row else ([], overrides)
        loaded[path] = [
            load_recipe(path, [*own, f"seed={seed}", f"evaluation.splits=[{split}]"], everywhere) for seed in seeds
        ]
    return loaded


def _stages_before(recipe: Recipe) -> Iterator[Recipe]:
    stage = recipe.previous()
    while stage is not None:
        yield stage
        stage = stage.previous()


def _without_trainer_settings(recipe: Recipe) -> str:
    left_out = ("name", "trainer", "evaluation", "start_from", "start_from_settings")
    settings = {key: value for key, value in recipe.to_dict().items() if key not in left_out}
    before = [stage.trainer.name for stage in _stages_before(recipe)]
    return json.dumps([settings, recipe.trainer.name, before], sort_keys=True)


def label_runs(records: Mapping[Path, Mapping[str, Any]]) -> dict[Path, str]:
    """Name the row of each finished run, so that runs of one row differ in their seeds alone.

    Args:
        records: The record of each run's folder.

    Returns:
        The run's name; where runs of one name were trained with different settings, with those that differ.
    """
    settings = {path: training_settings(record) for path, record in records.items()}
    names = {path: record["name"] for path, record in records.items()}
    differing = {
        name: differing_settings([settings[path] for path in names if names[path] == name])
        for name in set(names.values())
    }
    return {
        path: ", ".join([name, *(f"{key}={settings[path].get(key)}" for key in differing[name])])
        for path, name in names.items()
    }


@dataclass(frozen=True)
class TaskRows:
    """The rows of one task.

    Attributes:
        folders: The folders of the finished runs of each row, by its label; none for a recipe that is to be run.
        recipes: The recipe of each row that is to be run, with each seed, by its label.
    """

    folders: dict[str, list[Path]]
    recipes: dict[str, list[Recipe]]


def plan_rows(paths: Sequence[Path], seeds: Sequence[int], split: str, overrides: Sequence[str]) -> dict[str, TaskRows]:
    """Find the rows of a command line, and check before any run that those of a task can stand in one table.

    Args:
        paths: As for `expanded`.
        seeds: The seeds with which each recipe is run.
        split: The split that is compared.
        overrides: `KEY.PATH=VALUE` settings for all recipes and the stages before them.

    Returns:
        The rows of each task, in the order of the paths.

    Raises:
        UserError: A path leads to no row, a recipe is wrong, or as `rows_by_task`.
    """
    paths = expanded(paths)
    records = {path: read_record(path) for path in paths if path.is_dir()}
    recipes = load_rows([path for path in paths if path not in records], seeds, split, overrides)
    return rows_by_task(paths, records, recipes, split)


def rows_by_task(
    paths: Sequence[Path], records: Mapping[Path, Mapping[str, Any]], recipes: Mapping[Path, list[Recipe]], split: str
) -> dict[str, TaskRows]:
    """Group the rows of comparisons by task, and check before any run that those of a task can stand in one table.

    Args:
        paths: Recipes and folders of finished runs.
        records: The record of each folder.
        recipes: The recipe of each other path, with each seed.
        split: The split that is compared.

    Returns:
        The rows of each task, in the order of the paths.

    Raises:
        UserError: Two rows of a task have the same name; rows of a task differ in seeds or languages,
            or have no target language left; or the rows of two tasks differ in seeds, which their average needs.
    """
    of_task: dict[str, list[Path]] = {}
    for path in paths:
        of_task.setdefault(records[path]["task"] if path in records else recipes[path][0].task.name, []).append(path)
    tasks, seeds = {}, {}
    for task, of_path in of_task.items():
        recorded = {path: records[path] for path in of_path if path in records}
        labels = label_runs(recorded) | {path: recipes[path][0].name for path in of_path if path not in recorded}
        of_recipes = {recipes[path][0].name for path in of_path if path not in recorded}
        folders: dict[str, list[Path]] = {}
        for path in of_path:
            if labels[path] in folders and labels[path] in of_recipes:
                raise UserError(
                    f"{path}: an earlier row has the name '{labels[path]}' too; set another name in the recipe"
                )
            folders.setdefault(labels[path], []).extend([path] if path in recorded else [])
        rows = TaskRows(folders, {labels[path]: recipes[path] for path in of_path if path not in recorded})
        check_targets(rows.recipes, list(recorded.values()))
        if rows.recipes:
            check_rows(folders, rows.recipes, records, split)
        tasks[task] = rows
        seeds[task] = _seeds(rows, records)
    first = next(iter(tasks))
    for task, of_rows in seeds.items():
        if of_rows != seeds[first]:
            raise UserError(
                f"the rows of task {task} have seeds {listed(of_rows)}, but those of {first} {listed(seeds[first])}; "
                "rows that are averaged over tasks have the same"
            )
    return tasks


def _seeds(rows: TaskRows, records: Mapping[Path, Mapping[str, Any]]) -> list[int]:
    """Return the seeds of the first row of a task, which all of them share."""
    label, folders = next(iter(rows.folders.items()))
    if label in rows.recipes:
        return sorted(recipe.seed for recipe in rows.recipes[label])
    return sorted(records[folder]["seed"] for folder in folders)
