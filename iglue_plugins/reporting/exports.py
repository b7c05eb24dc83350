"""The files of comparisons: CSV, JSON, Markdown and LaTeX."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from iglue_plugins.evaluation.significance import Difference
from iglue_plugins.reporting import csv_rows, details, latex, markdown, notes
from iglue_plugins.reporting.averages import TaskAverage
from iglue_plugins.reporting.comparison import Comparison
from iglue_plugins.reporting.interval_wording import difference_text, difference_values, interval_text
from iglue_plugins.reporting.scores import Score, without_noise
from iglue_plugins.reporting.wording import describe, score_text
from iglue_plugins.utils.files import write_atomic

FORMAT = 1


def write(
    comparisons: Sequence[Comparison], folder: Path, average: TaskAverage | None = None, full: bool = False
) -> list[Path]:
    """Write comparison.csv, .json, .md and .tex, each atomically.

    CSV and JSON have numbers of 12 significant digits: CSV a row for each trainer, JSON the value of each seed too, and
    beside them what the table shows, as `text`. The Markdown and LaTeX files have the rounded table with its notes.
    External rows are marked in the last columns of the CSV, by keys of the JSON, and by headings in the other two.

    Args:
        comparisons: A comparison of each task.
        folder: The folder to write to.
        average: The average over tasks, where there are several.
        full: Whether Markdown and LaTeX have all that is known below a table, instead of the notes. JSON has both.

    Returns:
        The paths of the files.

    Raises:
        UserError: A file cannot be written.
    """
    tables: list[tuple[Comparison | TaskAverage, list[str]]] = [
        (comparison, details.details(comparison) if full else notes.notes(comparison)) for comparison in comparisons
    ]
    if average is not None:
        tables.append((average, details.average_details(average) if full else notes.average_notes(average)))
    texts = {"csv": _csv(comparisons, average), "json": _json(comparisons, average)}
    texts["md"] = "\n".join(markdown.table_markdown(table, sentences) for table, sentences in tables)
    texts["tex"] = "\n".join(latex.table_latex(table, sentences) for table, sentences in tables)
    return [write_atomic(Path(folder) / f"comparison.{suffix}", text.encode()) for suffix, text in texts.items()]


def _csv(comparisons: Sequence[Comparison], average: TaskAverage | None) -> str:
    languages = list(dict.fromkeys(language for comparison in comparisons for language in comparison.languages))
    rows = [row for comparison in comparisons for row in csv_rows.comparison_rows(comparison, languages)]
    return csv_rows.csv_text([*rows, *(csv_rows.average_rows(average) if average else [])])


def _json(comparisons: Sequence[Comparison], average: TaskAverage | None) -> str:
    """Format one comparison as an object, and several as a list beside their average."""
    tables = [_content(comparison, notes.notes(comparison), details.details(comparison)) for comparison in comparisons]
    content: dict[str, Any] = {"format": FORMAT, **tables[0]}
    if average is not None:
        content = {
            "format": FORMAT,
            "tasks": tables,
            "average": _content(average, notes.average_notes(average), details.average_details(average)),
        }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _content(table: Comparison | TaskAverage, main: list[str], every: list[str]) -> dict[str, Any]:
    return {
        **json_value(table, table.margin),
        "summary": describe(table),
        "notes": main,
        "details": every,
    }


def json_value(value: Any, margin: float | None) -> Any:
    """Convert a value for a JSON file: dataclasses to objects, scores and differences with their text in a table.

    Args:
        value: The value.
        margin: The margin of the verdicts on differences, in points, or None.
    """
    if isinstance(value, Difference):
        text = f"{difference_text(value)} {interval_text(value)}"
        return {"text": text, **json_value(difference_values(value, margin), margin)}
    if is_dataclass(value):
        text_of_score = {"text": score_text(value)} if isinstance(value, Score) else {}
        values = {field.name: json_value(getattr(value, field.name), margin) for field in fields(value)}
        return text_of_score | values
    if isinstance(value, dict):
        return {key: json_value(of_key, margin) for key, of_key in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item, margin) for item in value]
    return without_noise(value)
