"""The average over tasks: the mean over tasks of each task's mean over its target languages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from iglue_plugins.evaluation.significance import Difference, paired_bootstrap
from iglue_plugins.reporting.clustering import DrawnClusters, Pictured, cluster_examples, pictured_examples
from iglue_plugins.reporting.comparison import Comparison, LMMSEvalRow, PublishedRow
from iglue_plugins.reporting.results import RunResult
from iglue_plugins.reporting.scores import Score, score_over_seeds

Results = Mapping[str, Sequence[RunResult]]  # by the label of the row


@dataclass(frozen=True)
class AverageRow:
    """The row of one trainer.

    Attributes:
        label: The label of the row, which is that of a row in each of `tasks`.
        tasks: The mean over the target languages, by task.
        average: The mean over tasks of these means; None if the row lacks a task.
        difference: The average minus that of the first row, in points; None for the first row, and if one of the two
            lacks a task.
    """

    label: str
    tasks: dict[str, Score]
    average: Score | None
    difference: Difference | None


@dataclass(frozen=True)
class ExternalAverageRow:
    """A row of figures that have no seeds.

    Attributes:
        label: The label of the row.
        tasks: The mean over the target languages, by task; None where a figure is missing.
        average: The mean over tasks of these means; None if one is missing.
    """

    label: str
    tasks: dict[str, float | None]
    average: float | None


@dataclass(frozen=True)
class TaskAverage:
    """The rows of several comparisons, averaged over their tasks.

    Attributes:
        tasks: The names of the tasks.
        split: The split of all scores.
        metrics: The main metric of each task.
        targets: The target languages of each task.
        seeds: The seeds of every row.
        rows: The rows of runs.
        drawn: The clusters of examples that the intervals resample; None without a difference.
        margin: The largest difference that does not matter, in points, by which differences are judged; None for none.
        published: The rows of published figures.
        lmms_eval: The rows of lmms-eval's results.
    """

    tasks: tuple[str, ...]
    split: str
    metrics: dict[str, str]
    targets: dict[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    rows: tuple[AverageRow, ...]
    drawn: DrawnClusters | None
    margin: float | None
    published: tuple[ExternalAverageRow, ...]
    lmms_eval: tuple[ExternalAverageRow, ...]


def average_over_tasks(comparisons: Sequence[Comparison], results: Sequence[Results]) -> TaskAverage:
    """Average the rows of comparisons over their tasks.

    The average of a row is the mean over tasks of its mean over the target languages of the task. Its difference to
    that of the first row is resampled by images and seeds as in each task, an image of several tasks with its examples
    in all of them.

    Args:
        comparisons: A comparison of each task, with the same split, seeds and margin.
        results: The results of the rows of each comparison.

    Returns:
        The average. Rows belong together by their labels.

    Source: Bugliarello et al. 2022, IGLUE, ICML, whose averages are over tasks of means over target languages.
    """
    first = comparisons[0]
    means = {comparison.task: {row.label: row.target_mean for row in comparison.rows} for comparison in comparisons}
    labels = list(dict.fromkeys(label for of_task in means.values() for label in of_task))
    complete = [label for label in labels if all(label in of_task for of_task in means.values())]
    differences, drawn = _differences(comparisons, results, complete if labels[0] in complete else [])
    return TaskAverage(
        tasks=tuple(means),
        split=first.split,
        metrics={comparison.task: comparison.metric for comparison in comparisons},
        targets={comparison.task: comparison.targets for comparison in comparisons},
        seeds=first.seeds,
        rows=tuple(
            AverageRow(
                label,
                tasks := {task: of_task[label] for task, of_task in means.items() if label in of_task},
                _average(list(tasks.values())) if label in complete else None,
                differences.get(label),
            )
            for label in labels
        ),
        drawn=drawn,
        margin=first.margin,
        published=_external_rows({comparison.task: comparison.published for comparison in comparisons}),
        lmms_eval=_external_rows({comparison.task: comparison.lmms_eval for comparison in comparisons}),
    )


def _average(scores: Sequence[Score]) -> Score:
    """Average the scores of tasks, seed by seed."""
    return score_over_seeds(np.mean([score.per_seed for score in scores], axis=0).tolist())


def _external_rows(rows: Mapping[str, Iterable[PublishedRow | LMMSEvalRow]]) -> tuple[ExternalAverageRow, ...]:
    means = {task: {row.label: row.target_mean for row in of_task} for task, of_task in rows.items()}
    labels = dict.fromkeys(label for of_task in means.values() for label in of_task)
    found = []
    for label in labels:
        tasks = {task: of_task.get(label) for task, of_task in means.items()}
        figures = [figure for figure in tasks.values() if figure is not None]
        average = float(np.mean(figures)) if len(figures) == len(tasks) else None
        found.append(ExternalAverageRow(label, tasks, average))
    return tuple(found)


def _differences(
    comparisons: Sequence[Comparison], results: Sequence[Results], labels: Sequence[str]
) -> tuple[dict[str, Difference], DrawnClusters | None]:
    """Compute the difference of each row to the first one, and what is resampled for it; languages name their task."""
    if len(labels) < 2:
        return {}, None
    example_ids, image_ids, weights = {}, {}, {}
    for comparison, of_task in zip(comparisons, results, strict=True):
        pictured = pictured_examples([result for row in of_task.values() for result in row], comparison.targets)
        for language, ids in pictured.example_ids.items():
            name = f"{comparison.task}/{language}"
            example_ids[name] = tuple(f"{comparison.task}/{id_}" for id_ in ids)
            weights[name] = 1 / len(comparisons) / len(comparison.targets)
            if language in pictured.image_ids:
                image_ids[name] = pictured.image_ids[language]
    groups, drawn = cluster_examples(Pictured(example_ids, image_ids), weights)
    scores = [_scores(comparisons, results, label) for label in labels]
    differences = paired_bootstrap(scores[0], scores[1:], groups, weights=weights)
    return dict(zip(labels[1:], differences, strict=True)), drawn


def _scores(comparisons: Sequence[Comparison], results: Sequence[Results], label: str) -> dict[str, np.ndarray]:
    """Return a row's scores (seeds, examples) in the target languages of all tasks."""
    return {
        f"{comparison.task}/{language}": np.stack([result.scores[language] for result in of_task[label]])
        for comparison, of_task in zip(comparisons, results, strict=True)
        for language in comparison.targets
    }
