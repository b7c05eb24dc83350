"""The rows of a comparison in a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from iglue_plugins.evaluation.significance import Difference
from iglue_plugins.published import SOURCE
from iglue_plugins.reporting.averages import AverageRow, ExternalAverageRow, TaskAverage
from iglue_plugins.reporting.comparison import Comparison, LMMSEvalRow, PublishedRow, Row
from iglue_plugins.reporting.interval_wording import difference_values
from iglue_plugins.reporting.results import join_names
from iglue_plugins.reporting.scores import Score, without_noise

AVERAGE = "average"  # the name of the task in rows of an average over tasks


def comparison_rows(comparison: Comparison, languages: Sequence[str]) -> list[dict[str, object]]:
    """Make the rows of a comparison.

    Args:
        comparison: The comparison.
        languages: The languages that have columns, which may be more than those of the comparison.

    Returns:
        Values by column, with all columns in rows of runs.
    """
    rows = [_row(comparison, row, languages) for row in comparison.rows]
    rows += [_external_row(comparison, row) | {"published_by": SOURCE} for row in comparison.published]
    rows += [_external_row(comparison, row) | {"lmms_eval": row.file} for row in comparison.lmms_eval]
    return rows


def average_rows(average: TaskAverage) -> list[dict[str, object]]:
    """Make the rows of an average over tasks, for those rows that have one.

    Args:
        average: The average.

    Returns:
        Values by column, by the names of a comparison's columns; `mean` is the average.
    """
    common = {
        "task": AVERAGE,
        "split": average.split,
        "metric": join_names(dict.fromkeys(average.metrics.values())),
    }
    rows = [_average_row(average, row) | common for row in average.rows if row.average is not None]
    external = {"published_by": (SOURCE, average.published), "lmms_eval": (AVERAGE, average.lmms_eval)}
    for column, (value, of_kind) in external.items():
        rows += [_external_average_row(row) | common | {column: value} for row in of_kind if row.average is not None]
    return rows


def _average_row(average: TaskAverage, row: AverageRow) -> dict[str, object]:
    assert row.average is not None  # rows without an average are left out
    return {
        "label": row.label,
        "seeds": " ".join(map(str, average.seeds)),
        **{f"mean{end}": value for end, value in _mean_and_std(row.average)},
        **difference_columns(row.difference, average.margin),
    }


def _external_average_row(row: ExternalAverageRow) -> dict[str, object]:
    return {"label": row.label, "mean": row.average}


def csv_text(rows: Sequence[Mapping[str, object]]) -> str:
    """Format rows as CSV.

    Args:
        rows: Values by column. The first row has all columns; a column that another row lacks is empty.

    Returns:
        The text of the file, with a header.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: without_noise(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _row(comparison: Comparison, row: Row, languages: Sequence[str]) -> dict[str, object]:
    """Return the columns of a row of runs; a deviation or difference that does not exist is None."""
    scores: dict[str, Score | None] = {language: row.languages.get(language) for language in languages}
    scores["mean"] = row.target_mean
    return {
        "label": row.label,
        "trainer": row.trainer,
        "task": comparison.task,
        "split": comparison.split,
        "metric": comparison.metric,
        "source": " ".join(comparison.sources),
        "auxiliary": " ".join(comparison.auxiliary),
        "seeds": " ".join(map(str, comparison.seeds)),
        "training_languages": " ".join(row.training_languages),
        "labels_per_step": row.labels_per_step,
        "steps": row.steps,
        **{f"{name}{end}": value for name, score in scores.items() for end, value in _mean_and_std(score)},
        **difference_columns(row.difference, comparison.margin),
        "published_by": None,
        "lmms_eval": None,
    }


def difference_columns(difference: Difference | None, margin: float | None) -> dict[str, object]:
    """Return the columns of a difference, which are None where there is no difference or margin.

    Args:
        difference: The difference of a row.
        margin: The margin of its verdict, in points.
    """
    values = difference_values(difference, margin)
    names = {
        "difference": "difference",
        "low": "difference_low",
        "high": "difference_high",
        **{name: name for name in ("corrected_low", "corrected_high", "equivalence_low", "equivalence_high")},
        **{name: name for name in ("standard_error", "detectable", "verdict")},
    }
    return {column: values.get(name) for name, column in names.items()} | {"margin": margin if values else None}


def _external_row(comparison: Comparison, row: PublishedRow | LMMSEvalRow) -> dict[str, object]:
    """Return the columns that an external row has."""
    return {
        "label": row.label,
        "task": comparison.task,
        "split": comparison.split,
        "metric": comparison.metric,
        "source": " ".join(comparison.sources),
        "auxiliary": " ".join(comparison.auxiliary),
        **row.languages,
        "mean": row.target_mean,
    }


def _mean_and_std(score: Score | None) -> tuple[tuple[str, float | None], ...]:
    return ("", None if score is None else score.mean), ("_std", None if score is None else score.std)
