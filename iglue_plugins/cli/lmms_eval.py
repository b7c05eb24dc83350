"""`iglue lmms-eval-tasks`: the tasks for lmms-eval's --include_path."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def lmms_eval_tasks(
    tasks: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TASK]...", help="such as xvnli or mini/xgqa; default: those that there are data for"),
    ] = None,
    data_root: Annotated[Path | None, typer.Option(help="folder with the annotations; default: IGLUE_HOME")] = None,
    hub: Annotated[
        str | None,
        typer.Option(
            help="test sets and pictures from the copies on the model hub: pinned (their pinned revisions), another "
            "revision, or a local folder laid out like one"
        ),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="folder with pictures, named <store>/<image>.jpg or .png")] = None,
) -> None:
    """Write IGLUE's test sets as tasks for lmms-eval, and print their folder, for its --include_path."""
    from iglue_plugins.integrations.lmms_eval.task_files import DataSource, write_tasks

    print(write_tasks(tasks or [], DataSource(data_root, hub, images)))
