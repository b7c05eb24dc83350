"""The rows of tables that are made of what is finished already; nothing is trained for them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from iglue_plugins.experiments.rows import expanded, load_rows, read_tasks, rows_by_task
from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.reporting.results import RunResult
from iglue_plugins.runs.record_checks import read_record
from iglue_plugins.utils.errors import UserError


def read_finished(
    paths: Sequence[Path], seeds: Sequence[int], split: str, overrides: Sequence[str] = ()
) -> dict[str, dict[str, list[RunResult]]]:
    """Read the results of rows that `iglue compare` would not run anything for.

    Args:
        paths: Recipes, folders of recipes and folders of finished runs, as `compare` takes them.
        seeds: The seeds of each recipe's runs.
        split: The split of the scores.
        overrides: `KEY.PATH=VALUE` settings for all recipes and the stages before them.

    Returns:
        For each task the results of each row's runs, by the row's label, the baseline first.

    Raises:
        UserError: A recipe is wrong or has a run that is not finished, or rows cannot be compared.
    """
    paths = expanded(paths)
    records = {path: read_record(path) for path in paths if path.is_dir()}
    recipes = load_rows([path for path in paths if path not in records], seeds, split, overrides)
    tasks = rows_by_task(paths, records, recipes, split)
    found = _finished_folders(recipes, split, overrides)
    every = (recipe for rows in tasks.values() for seeded in rows.recipes.values() for recipe in seeded)
    return read_tasks(tasks, (found[id(recipe)] for recipe in every), split)


def _finished_folders(
    recipes: Mapping[Path, Sequence[Recipe]], split: str, overrides: Sequence[str]
) -> dict[int, Path]:
    """Find the finished run of each recipe, by the recipe's identity in memory."""
    found: dict[int, Path] = {}
    for path, seeded in recipes.items():
        from iglue_plugins.runs import runner  # imports PyTorch, which finished runs do without

        for recipe in seeded:
            run = runner.finished(recipe)
            if run is None:
                options = [f"seed={recipe.seed}", f"evaluation.splits=[{split}]", *overrides]
                raise UserError(
                    f"{path}: its run of seed {recipe.seed} is not finished, or has no scores of {split} in all of its "
                    f"languages; `{shlex.join(['iglue', 'run', str(path), *options])}` makes it"
                )
            found[id(recipe)] = run.folder
    return found
