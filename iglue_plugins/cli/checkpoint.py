"""`iglue checkpoint`: models of the VOLTA toolkit in and out, and smaller vocabularies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from iglue_plugins.cli.trim import trim
from iglue_plugins.utils.imports import heavy_imports
from iglue_plugins.utils.notices import quiet_libraries

app = typer.Typer(help="VOLTA's models in and out; smaller vocabularies.", no_args_is_help=True)
app.command("trim")(trim)


@app.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="the checkpoint's folder, new or empty")],
    config: Annotated[Path, typer.Option(help="VOLTA's model configuration, such as uc2_base.json")],
    weights: Annotated[Path, typer.Option(help="VOLTA's weights, such as pytorch_model_best.bin")],
    task: Annotated[
        str | None, typer.Option(help="whose head to keep, such as TASK19, or none; default: the only one in the file")
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="folder or hub id; default: the folder 'tokenizer' beside the weights")
    ] = None,
) -> None:
    """Turn a VOLTA model into a checkpoint folder, for a recipe's model.checkpoint or start_from.

    Nothing in the weights' file is executed.
    """
    quiet_libraries()
    with heavy_imports():
        from iglue_plugins.models.volta.reading import import_checkpoint

    made = import_checkpoint(config, weights, folder, task, tokenizer)
    head = f"head '{made.head}' with {made.num_labels} outputs" if made.head else "no head"
    print(f"{made.model_type}, {made.num_hidden_layers} layers, {head}")
    if not (folder / "tokenizer_config.json").is_file():
        print("without a tokenizer: give --tokenizer, or set model.tokenizer in the recipe")
    print(folder)


@app.command()
def export(
    source: Annotated[Path, typer.Argument(metavar="RUN_OR_CHECKPOINT", help="a run's or a checkpoint's folder")],
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="a folder, new or empty")],
    task: Annotated[
        str | None,
        typer.Option(
            help="VOLTA's task for the head; default: TASK19 (three classes), TASK15 (answers), TASK12 (two images), "
            "TASK8 (matching)",
        ),
    ] = None,
) -> None:
    """Write a run's or checkpoint's model as VOLTA's config.json and pytorch_model.bin."""
    quiet_libraries()
    with heavy_imports():
        from iglue_plugins.models.volta.writing import export_checkpoint

    head = export_checkpoint(source, folder, task)
    print(f"the head is clfs_dict.{head}" if head else "no head")
    print(folder)
