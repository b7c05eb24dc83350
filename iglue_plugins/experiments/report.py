"""The report of finished runs: nothing is trained or evaluated for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from iglue_plugins import published
from iglue_plugins.data.pictures.folder import PictureFolder
from iglue_plugins.experiments.compare import check_margin
from iglue_plugins.experiments.finished_rows import read_finished
from iglue_plugins.experiments.task_results import ExternalRows
from iglue_plugins.reporting.averages import average_over_tasks
from iglue_plugins.reporting.comparison import compare_results, target_languages
from iglue_plugins.reporting.report.contents import TaskRuns, write_report
from iglue_plugins.reporting.report.sweeps import Results, find_sweep
from iglue_plugins.reporting.slices import slice_table
from iglue_plugins.runs.folder import Run
from iglue_plugins.utils import distributed
from iglue_plugins.utils.errors import UserError, first_line
from iglue_plugins.utils.languages import language_tuple

if TYPE_CHECKING:
    from iglue_plugins.data.pictures.source import PictureSource


def report(
    paths: Sequence[Path],
    seeds: Sequence[int],
    split: str,
    overrides: Sequence[str],
    output: Path,
    chosen: published.PublishedFilter | None = None,
    lmms_eval: Sequence[Path] = (),
    margin: float | None = None,
    pictures: Path | None = None,
) -> Path:
    """Write the report of finished runs as one HTML page.

    Args:
        paths: As for `compare`; the runs of recipes have to be finished.
        seeds: The seeds of each recipe.
        split: The split that is reported.
        overrides: `KEY.PATH=VALUE` settings for all recipes and the stages before them.
        output: The folder of the page.
        chosen: Which published figures are added; None adds none.
        lmms_eval: Result files of lmms-eval that are added as rows.
        margin: The largest difference to the first row that does not matter, in points; None judges by no margin.
        pictures: The folder of the images of tasks that have no pictures themselves, as for `PictureFolder`.

    Returns:
        The path of the page.

    Raises:
        UserError: As `compare`; or a recipe has no finished run, or there is no folder of pictures.
    """
    distributed.require_single_process("iglue report")
    check_margin(margin)
    if pictures is not None and not pictures.is_dir():
        raise UserError(f"--pictures: {pictures} is no folder; name the folder with the pictures of the images")
    results = read_finished(paths, seeds, split, overrides)
    external = ExternalRows.read(results, split, chosen, lmms_eval)
    every = [_read_task(task, of_task, split, margin, external, pictures) for task, of_task in results.items()]
    compared = [(runs.comparison, runs.results) for runs in every if runs.comparison]
    average = None
    if len(compared) > 1:
        average = average_over_tasks([each for each, _ in compared], [of_task for _, of_task in compared])
    return write_report(every, average, split, output)


def _read_task(
    task: str, results: Results, split: str, margin: float | None, external: ExternalRows, folder: Path | None
) -> TaskRuns:
    targets = target_languages([result for row in results.values() for result in row])
    first = next(iter(results.values()))[0]
    sources = language_tuple(first.record["source_language"])
    matrix = find_sweep(results, split, margin)
    # Rows that leave no target language have no comparison; they are an error unless they are a sweep.
    has_comparison = bool(targets) or matrix is None
    pictures, lack = _find_pictures(first.folder, folder) if len(results) > 1 else (None, "")
    return TaskRuns(
        task=task,
        results=results,
        targets=targets or tuple(language for language in first.metric if language not in sources),
        comparison=external.beside(compare_results(results, split, margin)) if has_comparison else None,
        matrix=matrix,
        slices=slice_table(results, split) if has_comparison and len(results) > 1 else None,
        pictures=pictures,
        lack=lack,
    )


def _find_pictures(run: Path, folder: Path | None) -> tuple[PictureSource | None, str]:
    """Return the pictures of a run's task, or else those of the folder; where there are none, say why."""
    from iglue_plugins.runs.plugins import make_task
    from iglue_plugins.runs.trained_model import run_recipe

    try:
        return make_task(run_recipe(Run(run))).pictures, ""
    except UserError as error:
        return (None, first_line(error)) if folder is None else (PictureFolder(folder), "")
