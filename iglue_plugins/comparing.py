"""Run what a comparison needs, then tabulate it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from rich.console import Console
from tqdm import tqdm

from iglue_plugins import processes, published
from iglue_plugins.errors import UserError
from iglue_plugins.integrations.lmms_eval.results import RESULTS, read_results
from iglue_plugins.progress import SILENT, bar
from iglue_plugins.recipes import Recipe, load_recipe
from iglue_plugins.reporting import exports, plots, tables, wording
from iglue_plugins.reporting.comparison import Comparison, build_comparison, with_lmms_eval, with_published
from iglue_plugins.runs import Run

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
    rows: Sequence[Path], seeds: Sequence[int], split: str, jobs: int, overrides: Sequence[str], output: Path,
    chosen: published.Choice | None = None, lmms_eval: Sequence[Path] = (),
) -> None:
    """A table with a row for each recipe (run with every seed), folder of recipes (all of them) or finished run.

    Finished runs of the same name, one for each seed, make one row. `chosen` says which published figures to add,
    and `lmms_eval` names result files of lmms-eval.
    """
    processes.check_alone("iglue compare")
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
            raise UserError(f"{path}: found the name '{name}' of an earlier row, expected another; set name in the "
                            "recipe")
        labelled[name], recipes[name] = [], of_row
        tasks.append(of_row[0].task.name)
    check_targets(recipes)
    figures = published.select(tasks[0], split, chosen) if chosen else []
    evaluated = [read_results(path, tasks[0]) for path in lmms_eval]
    folders = iter(run_all([recipe for of_row in recipes.values() for recipe in of_row], jobs))
    for name, of_row in recipes.items():
        labelled[name] += [next(folders) for _ in of_row]
    comparison = with_published(build_comparison(list(labelled.items()), split), figures)
    report(with_lmms_eval(comparison, evaluated), output)


def check_targets(recipes: dict[str, list[Recipe]]) -> None:
    """Better now than after all the runs: some language must be left that no row has been trained on."""
    all_of = [recipe for of_row in recipes.values() for recipe in of_row]
    trained = {language for recipe in all_of if recipe.trains_on == "auxiliary"
               for language in recipe.auxiliary_languages}
    for recipe in all_of:
        if not set(recipe.evaluation.languages) - trained - {recipe.source_language}:
            raise UserError(f"recipe '{recipe.name}': evaluation.languages leaves no target language besides source "
                            f"{recipe.source_language} and auxiliary {', '.join(sorted(trained)) or 'none'}")


def report(comparison: Comparison, output: Path) -> None:
    """Print the table, and write it to the folder."""
    console = Console()
    (console if console.is_terminal else Console(width=LOG_WIDTH)).print(tables.ComparisonTable(comparison))
    for sentence in wording.describe(comparison):
        print(sentence)
    written = [*exports.write(comparison, output), output / "comparison.png"]
    plots.bar_chart(comparison, written[-1])
    print("written:", ", ".join(str(path) for path in written))


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
            raise UserError(f"{path}: found neither a record.json nor recipes, expected a recipe (.yaml), a folder of "
                            "recipes or the folder of a finished run")
        found += recipes
    return found


def run_all(recipes: Sequence[Recipe], jobs: int) -> list[Path]:
    """Run the recipes, `jobs` at a time; stages that several start from are run first, and once.

    Raises:
        UserError: of a run, or when one of the processes was killed.
    """
    jobs = min(jobs, len(recipes))
    if jobs <= 1:
        return [_run(recipe) for recipe in recipes]
    context, needed = multiprocessing.get_context("spawn"), stages(recipes)
    with ProcessPoolExecutor(jobs, context, _prepare_worker) as pool:
        try:
            for number, stage in enumerate(needed, start=1):
                runs = [pool.submit(_run, recipe) for recipe in stage]
                watched = bar(iterable=runs, unit="run", desc=f"stage {number} of {len(needed)}")
                folders = [run.result() for run in watched]
        except BrokenProcessPool as error:
            raise UserError(f"one of {jobs} processes was killed, perhaps for want of memory, expected --jobs that "
                            "fit; the same command resumes") from error
        except KeyboardInterrupt:  # whatever is running can be resumed, so there is nothing to wait for
            for process in multiprocessing.active_children():
                process.terminate()
            raise
        except Exception:  # runs that have begun may end, so that nothing of them is lost
            pool.shutdown(cancel_futures=True)
            raise
    return folders


def stages(recipes: Sequence[Recipe]) -> list[list[Recipe]]:
    """Lists of recipes to run one after the other: what the next list starts from, each once; last the recipes."""
    previous = {repr(stage.to_dict()): stage for recipe in recipes if (stage := recipe.previous()) is not None}
    return [*(stages(list(previous.values())) if previous else []), list(recipes)]


def _prepare_worker() -> None:
    """Leave Ctrl-C and bars to the parent, and give tqdm a lock that nobody misses when the parent ends the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ[SILENT] = "1"
    tqdm.set_lock(threading.RLock())


def _run(recipe: Recipe) -> Path:
    from iglue_plugins import harness

    return harness.run(recipe).folder
