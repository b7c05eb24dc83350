"""Run what a comparison needs, then tabulate it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from iglue_plugins import published
from iglue_plugins.experiments.launcher import Launch, require_all, run_all
from iglue_plugins.experiments.rows import check_rows, check_targets, expanded, label_runs, load_rows
from iglue_plugins.reporting import chart_files, exports, tables, wording
from iglue_plugins.reporting.comparison import Comparison, build_comparison, with_lmms_eval, with_published
from iglue_plugins.reporting.lmms_eval_results import read_results
from iglue_plugins.reporting.records import read_record
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
    paths: Sequence[Path],
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
        paths: Recipes, folders of recipes (a row for each recipe) and folders of finished runs. Finished runs of the
            same name and settings, one for each seed, make one row. The first row is the baseline.
        seeds: The seeds with which each recipe is run.
        split: The split that is compared.
        launch: How the runs are started.
        overrides: `KEY.PATH=VALUE` settings for all recipes and the stages before them.
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
    paths = expanded(paths)
    records = {path: read_record(path) for path in paths if path.is_dir()}
    recipes = load_rows([path for path in paths if path not in records], seeds, split, overrides)
    labels = label_runs(records) | {path: seeded[0].name for path, seeded in recipes.items()}
    labelled: dict[str, list[Path]] = {}
    for path in paths:
        if labels[path] in labelled and labels[path] in {seeded[0].name for seeded in recipes.values()}:
            raise UserError(f"{path}: an earlier row has the name '{labels[path]}' too; set another name in the recipe")
        labelled.setdefault(labels[path], []).extend([path] if path in records else [])
    rows = {labels[path]: seeded for path, seeded in recipes.items()}
    check_targets(rows)
    if rows:
        check_rows(labelled, rows, records, split)
    require_all(recipe for seeded in rows.values() for recipe in seeded)
    task = records[paths[0]]["task"] if paths[0] in records else recipes[paths[0]][0].task.name
    figures = published.select(task, split, chosen) if chosen else []
    evaluated = [read_results(path, task) for path in lmms_eval]
    folders = iter(run_all([recipe for seeded in rows.values() for recipe in seeded], launch))
    for name, seeded in rows.items():
        labelled[name] += [next(folders) for _ in seeded]
    scored = {name: seeded[0].evaluation.scored_split(split) for name, seeded in rows.items()}
    comparison = with_published(build_comparison(list(labelled.items()), split, margin, scored), figures)
    report(with_lmms_eval(comparison, evaluated), output)


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
