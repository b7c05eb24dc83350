"""A comparison in the terminal."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from iglue_plugins.evaluation.significance import Interval
from iglue_plugins.reporting.comparison import Comparison, Score
from iglue_plugins.reporting.wording import (
    difference_text,
    interval_text,
    mean_text,
    notes,
    role,
    std_text,
    title,
)

ROLE_HEADERS = {"source": "src", "auxiliary": "aux", "target": ""}


def render(comparison: Comparison) -> Group:
    """A row per trainer: each language's mean with its deviation below, the target mean, its difference to the first.

    Fifteen languages fit into 100 columns; a significant difference has a star as well as a colour.
    """
    table = _table()
    table.add_column("", overflow="fold")
    for language in comparison.languages:
        of_role = role(comparison, language)
        table.add_column(
            f"{language}\n{ROLE_HEADERS[of_role]}",
            justify="right",
            no_wrap=True,
            style="" if of_role == "target" else "dim",
        )
    table.add_column("mean", justify="right", no_wrap=True, style="bold")
    if len(comparison.rows) > 1:
        table.add_column("diff", justify="right", overflow="fold")
    for row in comparison.rows:
        scores = [*(row.languages[language] for language in comparison.languages), row.target_mean]
        difference = [_difference_cell(row.difference)] if len(comparison.rows) > 1 else []
        table.add_row(Text(row.label), *map(_score_cell, scores), *difference)
    return _titled(title(comparison), table, *notes(comparison))


def render_record(record: dict[str, Any], split: str) -> Group:
    """One run's main metric in each language that it has been scored on."""
    metric = record["main_metric"]
    scores = [f"{language} {of_language[metric]:.1f}" for language, of_language in record["scores"][split].items()]
    heading = f"{record['name']}: {record['task']}, {split} split, {metric} (%)"
    return _titled(heading, Columns(scores, padding=(0, 3), equal=True))


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0)


def _titled(heading: str, table: RenderableType, *below: str) -> Group:
    """Rich would wrap a table's own title and caption to the table's width, and that can be a few letters."""
    return Group(Text(heading, style="bold"), table, *(Text(note, style="dim") for note in below))


def _score_cell(score: Score) -> Text:
    cell = Text(mean_text(score))
    return cell.append(f"\n{std_text(score)}", style="dim not bold") if score.std is not None else cell


def _difference_cell(interval: Interval | None) -> Text:
    if interval is None:
        return Text("")
    colour = ("green" if interval.difference > 0 else "red") if interval.excludes_zero else ""
    return Text(difference_text(interval), style=colour).append(f"\n{interval_text(interval)}", style="dim")
