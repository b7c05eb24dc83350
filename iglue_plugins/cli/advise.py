"""`iglue advise`: which auxiliary language to meta-train on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iglue_plugins.cli.options import DataRoot, load_task
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.imports import heavy_imports
from iglue_plugins.utils.notices import quiet_libraries

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from iglue_plugins.tasks.base import Task


def advise(
    task: Annotated[
        str, typer.Argument(metavar="TASK_OR_RECIPE", help="a task's name, such as mini/xvnli, or a recipe (.yaml)")
    ],
    target: Annotated[
        list[str] | None, typer.Option(help="a target language; several times for several; default: all together")
    ] = None,
    candidates: Annotated[
        str | None, typer.Option(help="comma-separated auxiliary languages; default: all with auxiliary data")
    ] = None,
    matrix: Annotated[
        list[Path] | None,
        typer.Option(
            help="a sweep's folder, scores.csv or matrix.csv to learn from; several times for several; default: the "
            "one that ships for the task"
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="a finished run whose model compares texts (NN-Rank) and gives the tokenizer"),
    ] = None,
    data_root: DataRoot = None,
    as_json: Annotated[bool, typer.Option("--json", help="print a JSON object, unrounded")] = False,
) -> None:
    """Rank auxiliary languages for target languages of a task, with reasons and intervals; nothing is trained."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # is read when the libraries are imported, which is below
    chosen = [] if candidates is None else [language.strip() for language in candidates.split(",")]
    of_task, source_languages, tokenizer = _read_task(task, data_root)

    from rich.console import Console

    with heavy_imports():
        from iglue_plugins.advice import advisor
    from iglue_plugins.advice.table import render_advice

    trained = None
    if model is not None:
        from iglue_plugins.runs.sharing.download import find_run
        from iglue_plugins.runs.trained_model import load_trained

        _, trained = load_trained(find_run(model))
        tokenizer = getattr(trained.processor, "tokenizer", tokenizer)
    advice = advisor.advise(of_task, source_languages, tokenizer, trained, matrix or [], target or [], chosen)
    if as_json:
        print(json.dumps(advice.to_dict(), ensure_ascii=False, indent=2))
    else:
        Console().print(render_advice(advice))


def _read_task(name: str, data_root: Path | None) -> tuple[Task, tuple[str, ...], PreTrainedTokenizerBase | str]:
    """Return a task, its source languages, and the tokenizer of a recipe's model, or why there is none."""
    from iglue_plugins.recipes.recipe import is_recipe, load_recipe

    if not is_recipe(name):
        quiet_libraries()
        of_task = load_task(name, data_root)
        return of_task, (of_task.source_language,), "a task names no model; give a recipe, or a run by --model"
    if data_root is not None:
        raise UserError("--data-root: a recipe says itself where its data are; leave the option out, or name the task")

    from iglue_plugins.advice.tokenizers import find_tokenizer
    from iglue_plugins.runs.plugins import make_task

    quiet_libraries()
    recipe = load_recipe(name)
    return make_task(recipe), recipe.source_languages, find_tokenizer(recipe)
