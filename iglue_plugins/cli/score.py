"""`iglue score`: what a file of predictions scores, without a model."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Group

    from iglue_plugins.evaluation.scoring import Scores


def score(
    task: Annotated[str, typer.Argument(help="xvnli, xgqa, marvl or xflickrco")],
    predictions: Annotated[Path, typer.Argument(help="a result file of VOLTA, or one language's file of a run")],
    language: Annotated[str, typer.Option(help="the language of the predictions")],
    data_root: Annotated[str | None, typer.Option(help="folder with the annotations; default: IGLUE_HOME")] = None,
    allow_missing: Annotated[bool, typer.Option("--allow-missing", help="count missing predictions as wrong")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print a JSON object, unrounded")] = False,
) -> None:
    """Score a file of test predictions in one language against TASK's annotations."""
    from iglue_plugins.evaluation import gold, prediction_files, scoring

    read = prediction_files.read_predictions(predictions)
    scores = scoring.score(predictions, read, gold.read_gold(task, language, data_root), allow_missing)
    if as_json:
        print(json.dumps({**asdict(scores), "predictions": str(predictions)}, ensure_ascii=False, indent=2))
    else:
        from rich.console import Console

        Console().print(rendered(scores))


def rendered(scores: Scores) -> Group:
    """Render the scores of a prediction file as a table with a row for each metric, and the notes.

    Args:
        scores: The scores.
    """
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 2, 0, 0))
    for name in ("metric", "%", "examples", "missing", "extra"):
        table.add_column(name, justify="right" if table.columns else "left", no_wrap=True)
    for metric, value in scores.metrics.items():
        table.add_row(metric, f"{value:.2f}", str(scores.examples), str(scores.missing), str(scores.extra))
    return Group(
        Text(f"{scores.task}/{scores.language}, {scores.split} split", style="bold"),
        table,
        *(Text(f"{note}.", style="dim") for note in scores.notes),
    )
