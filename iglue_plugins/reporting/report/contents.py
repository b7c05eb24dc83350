"""The contents of a report: what runs, their logs and their predictions say of each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from iglue_plugins.data.pictures.source import PictureSource
from iglue_plugins.reporting.averages import TaskAverage
from iglue_plugins.reporting.comparison import Comparison
from iglue_plugins.reporting.heat_map import heat_figure
from iglue_plugins.reporting.matrix import Matrix
from iglue_plugins.reporting.plots import bar_figure
from iglue_plugins.reporting.report.charts import chart
from iglue_plugins.reporting.report.confusions import confusions
from iglue_plugins.reporting.report.curves import curves_figure
from iglue_plugins.reporting.report.events import read_scalars
from iglue_plugins.reporting.report.examples import examples_of_task
from iglue_plugins.reporting.report.page import TaskSection, anchor, write_page
from iglue_plugins.reporting.report.pictures import Thumbnails
from iglue_plugins.reporting.report.row_answers import gather_answers
from iglue_plugins.reporting.results import RunResult, seeds_of
from iglue_plugins.reporting.slices import SliceTable

WIDEST = 13.0  # inches of a chart, whose text would be too small in a page if it were wider
ROOM = 12_000_000  # bytes for the examples and pictures of all tasks, so that a page stays below 15 MB


@dataclass(frozen=True)
class TaskRuns:
    """The runs of one task, read and compared.

    Attributes:
        task: The task's name.
        results: The results of each row's runs, by label.
        targets: The languages whose answers are counted together: the target languages, or all but the source language
            where every one was trained on.
        comparison: The comparison of its rows; None where they leave no target language.
        matrix: The matrix of a sweep over auxiliary languages among the rows, or None.
        slices: The rows' differences in slices of the examples; None where there is no comparison, or a single row.
        pictures: The pictures of the task's images; None if there are none.
        lack: Why there are no pictures, a sentence, or "".
    """

    task: str
    results: Mapping[str, Sequence[RunResult]]
    targets: Sequence[str]
    comparison: Comparison | None
    matrix: Matrix | None
    slices: SliceTable | None
    pictures: PictureSource | None
    lack: str


def write_report(tasks: Sequence[TaskRuns], average: TaskAverage | None, split: str, folder: Path) -> Path:
    """Write the report of runs as a page.

    Args:
        tasks: The runs of each task.
        average: The average over tasks, where there are several.
        split: The split of all scores.
        folder: The folder of the page, which is made if need be.

    Returns:
        The path of the page.

    Raises:
        UserError: A file of predictions is missing or damaged, or the page cannot be written.
    """
    sections = [_section(runs, ROOM // len(tasks)) for runs in tasks]
    return write_page(sections, average, split, folder)


def _section(runs: TaskRuns, room: int) -> TaskSection:
    answers, name = gather_answers(runs.results), anchor(runs.task)
    logged = {label: [read_scalars(result.folder) for result in row] for label, row in runs.results.items()}
    seeds = seeds_of(next(iter(runs.results.values())))
    thumbnails = Thumbnails(runs.pictures, runs.lack)
    examples = examples_of_task(runs.task, answers, seeds, thumbnails, room)
    return TaskSection(
        task=runs.task,
        seeds=seeds,
        comparison=runs.comparison,
        bars=chart(partial(bar_figure, runs.comparison, WIDEST), f"{name}-bars") if runs.comparison else None,
        matrix=runs.matrix,
        heat_map=chart(partial(heat_figure, runs.matrix), f"{name}-heat") if runs.matrix else None,
        curves=chart(partial(curves_figure, logged), f"{name}-curves"),
        slices=runs.slices if runs.slices and runs.slices.quantities else None,
        confusions=confusions(answers, runs.targets),
        confused_languages=runs.targets,
        examples=examples,
        lacks=thumbnails.lacks if examples else [],
    )
