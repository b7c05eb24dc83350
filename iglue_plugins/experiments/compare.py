"""Run what a comparison needs, then tabulate it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from iglue_plugins import published
from iglue_plugins.experiments.launcher import Launch, launching, require_all
from iglue_plugins.experiments.rows import plan_rows
from iglue_plugins.experiments.task_results import ExternalRows, read_tasks, recipes_of
from iglue_plugins.reporting import chart_files, exports, tables, wording
from iglue_plugins.reporting.averages import TaskAverage, average_over_tasks
from iglue_plugins.reporting.comparison import Comparison, compare_results
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
    full: bool = False,
) -> None:
    """Run what a comparison lacks, print its table, and write it as files.

    Rows of several tasks make a table for each task, and one of the averages over tasks of rows of one name.

    Args:
        paths: Recipes, folders of recipes (a row for each recipe), folders of finished runs, and folders that hold
            some. Finished runs of the same name and settings, one for each seed, make one row. The first row of a task
            is its baseline.
        seeds: The seeds with which each recipe is run.
        split: The split that is compared.
        launch: How the runs are started.
        overrides: `KEY.PATH=VALUE` settings for all recipes and the stages before them.
        output: The folder for the files.
        chosen: Which published figures are added; None adds none.
        lmms_eval: Result files of lmms-eval that are added as rows.
        margin: The largest difference to the first row that does not matter, in points; None judges by no margin.
        full: Whether all that is known stands below the tables, instead of the notes.

    Raises:
        UserError: The margin is not above 0, a recipe is wrong, rows cannot be compared, a run fails, or a file cannot
            be read or written.
    """
    distributed.require_single_process("iglue compare")
    check_margin(margin)
    tasks = plan_rows(paths, seeds, split, overrides)
    recipes = recipes_of(tasks)
    with launching(recipes, launch) as run:
        require_all(recipes)
        external = ExternalRows.read(tasks, split, chosen, lmms_eval)
        folders = run()
    results = list(read_tasks(tasks, folders, split).values())
    comparisons = [external.beside(compare_results(of_task, split, margin)) for of_task in results]
    report(comparisons, output, average_over_tasks(comparisons, results) if len(tasks) > 1 else None, full)


def report(
    comparisons: Sequence[Comparison], output: Path, average: TaskAverage | None = None, full: bool = False
) -> None:
    """Print the tables of comparisons, and write them and their charts into a folder.

    Args:
        comparisons: A comparison of each task.
        output: The folder, which is made if need be.
        average: The average over tasks, where there are several.
        full: Whether all that is known stands below the tables, instead of the notes.

    Raises:
        UserError: A file cannot be written.
    """
    for comparison in comparisons:
        console().print(tables.ComparisonTable(comparison, full))
        for sentence in wording.describe(comparison):
            print(sentence)
        if average:
            print()
    if average:
        console().print(tables.AverageTable(average, full))
        for sentence in wording.describe(average):
            print(sentence)
    written = exports.write(comparisons, output, average, full)
    for comparison in comparisons:
        name = f"comparison-{comparison.task.replace('/', '_')}.png" if average else "comparison.png"
        written.append(output / name)
        if not chart_files.is_drawn(comparison, written[-1]):
            from iglue_plugins.reporting.plots import bar_chart  # imports matplotlib

            bar_chart(comparison, written[-1])
    print("written:", ", ".join(str(path) for path in written))


def console() -> Console:
    """Return a console as wide as the terminal, or wide enough for most tables where there is none."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=LOG_WIDTH)
