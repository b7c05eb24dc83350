"""Run what a comparison needs, then tabulate it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from iglue_plugins import published
from iglue_plugins.experiments.launcher import Launch, run_all
from iglue_plugins.recipes.recipe import Recipe, load_recipe
from iglue_plugins.reporting import exports, plots, tables, wording
from iglue_plugins.reporting.comparison import Comparison, build_comparison, with_lmms_eval, with_published
from iglue_plugins.reporting.lmms_eval_results import RESULTS, read_results
from iglue_plugins.runs.folder import Run
from iglue_plugins.utils import distributed
from iglue_plugins.utils.errors import UserError

LOG_WIDTH = 160  # characters; of a table that goes into a file


def parse_seeds(text: str) -> list[int]:
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"--seeds: found '{text}', expected whole numbers separated by commas, such as 0,1,2") from None
    if len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds: found '{text}', expected each seed once")
    return seeds


def compare(
    rows: Sequence[Path],
    seeds: Sequence[int],
    split: str,
    launch: Launch,
    overrides: Sequence[str],
    output: Path,
    chosen: published.PublishedFilter | None = None,
    lmms_eval: Sequence[Path] = (),
) -> None:
    """A table with a row for each recipe (run with every seed), folder of recipes (all of them) or finished run.

    Finished runs of the same name, one for each seed, make one row. `chosen` says which published figures to add,
    and `lmms_eval` names result files of lmms-eval.
    """
    distributed.require_single_process("iglue compare")
    labelled: dict[str, list[Path]] = {}
    recipes: dict[str, list[Recipe]] = {}
    tasks: list[str] = []
    for path in expanded(rows):
        if path.is_dir():
            record = Run(path).record()
            labelled.setdefault(record["name"], []).append(path)
            tasks.append(record["task"])
            continue
        of_row = [load_recipe(path, [*overrides, f"seed={seed}", f"evaluation.splits=[{split}]"]) for seed in seeds]
        name = of_row[0].name
        if name in labelled:
            raise UserError(
                f"{path}: found the name '{name}' of an earlier row, expected another; set name in the recipe"
            )
        labelled[name], recipes[name] = [], of_row
        tasks.append(of_row[0].task.name)
    check_targets(recipes)
    figures = published.select(tasks[0], split, chosen) if chosen else []
    evaluated = [read_results(path, tasks[0]) for path in lmms_eval]
    folders = iter(run_all([recipe for of_row in recipes.values() for recipe in of_row], launch))
    for name, of_row in recipes.items():
        labelled[name] += [next(folders) for _ in of_row]
    comparison = with_published(build_comparison(list(labelled.items()), split), figures)
    report(with_lmms_eval(comparison, evaluated), output)


def check_targets(recipes: dict[str, list[Recipe]]) -> None:
    """Better now than after all the runs: some language must be left that no row has been trained on."""
    all_of = [recipe for of_row in recipes.values() for recipe in of_row]
    trained = {
        language for recipe in all_of if recipe.trains_on == "auxiliary" for language in recipe.auxiliary_languages
    }
    for recipe in all_of:
        if not set(recipe.evaluation.languages) - trained - {recipe.source_language}:
            raise UserError(
                f"recipe '{recipe.name}': evaluation.languages leaves no target language besides source "
                f"{recipe.source_language} and auxiliary {', '.join(sorted(trained)) or 'none'}"
            )


def report(comparison: Comparison, output: Path) -> None:
    """Print the table, and write it to the folder."""
    console().print(tables.ComparisonTable(comparison))
    for sentence in wording.describe(comparison):
        print(sentence)
    written = [*exports.write(comparison, output), output / "comparison.png"]
    plots.bar_chart(comparison, written[-1])
    print("written:", ", ".join(str(path) for path in written))


def console() -> Console:
    """As wide as the terminal, or wide enough for most tables where there is none."""
    found = Console()
    return found if found.is_terminal else Console(width=LOG_WIDTH)


def expanded(rows: Sequence[Path]) -> list[Path]:
    """Recipe files and folders of finished runs; a folder of recipes gives all of them, finetune.yaml first."""
    found = []
    for path in rows:
        if Run(path).is_finished or path.suffix in (".yaml", ".yml"):
            found.append(path)
            continue
        if path.name.endswith(RESULTS):
            raise UserError(f"{path}: found a result file of lmms-eval as a row, expected --lmms-eval before each")
        recipes = sorted(path.glob("*.yaml"), key=lambda recipe: (recipe.stem != "finetune", recipe.stem))
        if not recipes:
            raise UserError(
                f"{path}: found neither a record.json nor recipes, expected a recipe (.yaml), a folder of "
                "recipes or the folder of a finished run"
            )
        found += recipes
    return found
