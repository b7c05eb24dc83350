"""The results of the rows of tasks, and the rows from elsewhere that stand beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from iglue_plugins.experiments.rows import TaskRows
from iglue_plugins.published import PublishedFigures, PublishedFilter, select
from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.reporting.comparison import Comparison
from iglue_plugins.reporting.external_rows import with_lmms_eval, with_published
from iglue_plugins.reporting.lmms_eval_results import LMMSEvalResult, read_results_of_tasks
from iglue_plugins.reporting.results import RunResult, read_rows


@dataclass(frozen=True)
class ExternalRows:
    """Rows that are no runs.

    Attributes:
        published: The published figures of each task.
        lmms_eval: The results of lmms-eval of each task.
    """

    published: Mapping[str, Sequence[PublishedFigures]]
    lmms_eval: Mapping[str, Sequence[LMMSEvalResult]]

    @classmethod
    def read(
        cls,
        tasks: Iterable[str],
        split: str,
        chosen: PublishedFilter | None,
        lmms_eval: Sequence[Path],
    ) -> ExternalRows:
        """Read the rows.

        Args:
            tasks: The names of the tasks.
            split: The split that is compared.
            chosen: Which published figures are added; None adds none.
            lmms_eval: Result files of lmms-eval.

        Raises:
            UserError: Nothing is published for a task, or a file does not fit the tasks.
        """
        tasks = list(tasks)
        figures = {task: select(task, split, chosen) if chosen else [] for task in tasks}
        return cls(figures, read_results_of_tasks(lmms_eval, tasks))

    def beside(self, comparison: Comparison) -> Comparison:
        """Add the rows of its task to a comparison.

        Args:
            comparison: The comparison of runs.

        Raises:
            UserError: The rows do not fit the comparison.
        """
        task = comparison.task
        return with_lmms_eval(with_published(comparison, self.published[task]), self.lmms_eval[task])


def recipes_of(tasks: Mapping[str, TaskRows]) -> list[Recipe]:
    """List the recipes of all rows, in the order in which `read_tasks` takes their runs.

    Args:
        tasks: The rows of each task.
    """
    return [recipe for rows in tasks.values() for seeded in rows.recipes.values() for recipe in seeded]


def read_tasks(
    tasks: Mapping[str, TaskRows], folders: Iterable[Path], split: str
) -> dict[str, dict[str, list[RunResult]]]:
    """Read the results of the rows of comparisons.

    Args:
        tasks: The rows of each task.
        folders: The folders of the runs of `recipes_of`.
        split: The split that is compared.

    Returns:
        For each task the results of each row's runs, by the row's label.

    Raises:
        UserError: As `read_rows`.
    """
    made, results = iter(folders), {}
    for task, rows in tasks.items():
        found = {
            label: [*runs, *(next(made) for _ in rows.recipes.get(label, ()))] for label, runs in rows.folders.items()
        }
        scored = {name: seeded[0].evaluation.scored_split(split) for name, seeded in rows.recipes.items()}
        results[task] = read_rows(list(found.items()), split, scored=scored)
    return results
