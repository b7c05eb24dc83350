"""Run what a comparison needs, then tabulate it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from iglue_plugins import published
from iglue_plugins.experiments.launcher import Launch, run_all
from iglue_plugins.recipes.recipe import Recipe, load_recipe
from iglue_plugins.reporting import chart_files, exports, tables, wording
from iglue_plugins.reporting.comparison import Comparison, build_comparison, with_lmms_eval, with_published
from iglue_plugins.reporting.lmms_eval_results import RESULTS, read_results
from iglue_plugins.reporting.results import read_record
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.training_settings import differing_settings, training_settings
from iglue_plugins.utils import distributed
from iglue_plugins.utils.errors import UserError

LOG_WIDTH = 160  # characters; of a table that goes into a file


def parse_seeds(text: str) -> list[int]:
    """Read the seeds of a command line.

    Args:
        text: Whole numbers separated by commas, such as "0,1,2".

    Returns:
        The seeds in their order.

    Raises:
        UserError: A part is no whole number, or a seed is there twice.
    """
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"--seeds: '{text}' is not a list of whole numbers such as 0,1,2") from None
    if len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds: '{text}' names a seed twice; give each seed once")
    return seeds


def check_margin(margin: float | None) -> None:
    """Check the margin of a command line.

    Args:
        margin: The margin in points, or None.

    Raises:
        UserError: The margin is not a number above 0.
    """
    if margin is not None and not 0 < margin < math.inf:
        raise UserError(f"--margin: {margin:g} is no margin; give points above 0, such as 1.0")


def compare(
    rows: Sequence[Path],
    seeds: Sequence[int],
    split: str,
    launch: Launch,
    overrides: Sequence[str],
    output: Path,
    chosen: published.PublishedFilter | None = None,
    lmms_eval: Sequence[Path] = (),
    margin: float | None = None,
) -> None:
    """Run what a comparison lacks, print its table, and write it as files.

    Args:
        rows: Recipes, folders of recipes (a row for each recipe) and folders of finished runs. Finished runs of the
            same name and settings, one for each seed, make one row. The first row is the baseline.
        seeds: The seeds with which each recipe is run.
        split: The split that is compared.
        launch: How the runs are started.
        overrides: `KEY.PATH=VALUE` settings for all recipes.
        output: The folder for the files.
        chosen: Which published figures are added; None adds none.
        lmms_eval: Result files of lmms-eval that are added as rows.
        margin: The largest difference to the first row that does not matter, in points; None judges by no margin.

    Raises:
        UserError: The margin is not above 0, a recipe is wrong, rows cannot be compared, a run fails, or a file cannot
            be read or written.
    """
    distributed.require_single_process("iglue compare")
    check_margin(margin)
    paths = expanded(rows)
    records = {path: read_record(path) for path in paths if path.is_dir()}
    labels = label_runs(records)
    labelled: dict[str, list[Path]] = {}
    recipes: dict[str, list[Recipe]] = {}
    tasks: list[str] = []
    for path in paths:
        if path in records:
            labelled.setdefault(labels[path], []).append(path)
            tasks.append(records[path]["task"])
            continue
        seeded = [load_recipe(path, [*overrides, f"seed={seed}", f"evaluation.splits=[{split}]"]) for seed in seeds]
        name = seeded[0].name
        if name in labelled:
            raise UserError(f"{path}: an earlier row has the name '{name}' too; set another name in the recipe")
        labelled[name], recipes[name] = [], seeded
        tasks.append(seeded[0].task.name)
    check_targets(recipes)
    figures = published.select(tasks[0], split, chosen) if chosen else []
    evaluated = [read_results(path, tasks[0]) for path in lmms_eval]
    folders = iter(run_all([recipe for seeded in recipes.values() for recipe in seeded], launch))
    for name, seeded in recipes.items():
        labelled[name] += [next(folders) for _ in seeded]
    comparison = with_published(build_comparison(list(labelled.items()), split, margin), figures)
    report(with_lmms_eval(comparison, evaluated), output)


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


def check_targets(recipes: dict[str, list[Recipe]]) -> None:
    """Check before any run that a language is left which no row is trained on.

    Args:
        recipes: The recipes of each row, by its name.

    Raises:
        UserError: A recipe evaluates source and auxiliary languages only.
    """
    all_recipes = [recipe for seeded in recipes.values() for recipe in seeded]
    trained = {
        language for recipe in all_recipes if recipe.trains_on == "auxiliary" for language in recipe.auxiliary_languages
    }
    for recipe in all_recipes:
        if not set(recipe.evaluation.languages) - trained - {recipe.source_language}:
            raise UserError(
                f"recipe '{recipe.name}': evaluation.languages leaves no target language besides source "
                f"{recipe.source_language} and auxiliary {', '.join(sorted(trained)) or 'none'}"
            )


def report(comparison: Comparison, output: Path) -> None:
    """Print a comparison's table, and write it and its chart into a folder.

    Args:
        comparison: The comparison.
        output: The folder, which is made if need be.

    Raises:
        UserError: A file cannot be written.
    """
    console().print(tables.ComparisonTable(comparison))
    for sentence in wording.describe(comparison):
        print(sentence)
    written = [*exports.write(comparison, output), output / "comparison.png"]
    if not chart_files.is_drawn(comparison, written[-1]):
        from iglue_plugins.reporting.plots import bar_chart  # imports matplotlib

        bar_chart(comparison, written[-1])
    print("written:", ", ".join(str(path) for path in written))


def console() -> Console:
    """Return a console as wide as the terminal, or wide enough for most tables where there is none."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=LOG_WIDTH)


def expanded(rows: Sequence[Path]) -> list[Path]:
    """Replace folders of recipes by their recipes, finetune.yaml first.

    Args:
        rows: Recipes, folders of recipes, and folders of finished runs.

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
        if not recipes:
            raise UserError(
                f"{path}: there is neither a record.json nor a recipe; name a recipe (.yaml), a folder of recipes or "
                "the folder of a finished run"
            )
        found += recipes
    return found
