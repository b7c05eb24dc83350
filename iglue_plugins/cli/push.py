"""`iglue push`: a finished run's model, card and record on a hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from iglue_plugins.utils.imports import heavy_imports


def push(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="the folder of a finished run")],
    hub_id: Annotated[str, typer.Argument(metavar="HUB_ID", help="the repository, OWNER/NAME; made if need be")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="only list what would be sent; needs no network and no token")
    ] = False,
    private: Annotated[
        bool, typer.Option("--private", help="make a private repository; one that is public is refused")
    ] = False,
    branch: Annotated[
        str | None, typer.Option("--branch", "--revision", help="the branch, made if need be; default: main")
    ] = None,
    message: Annotated[str | None, typer.Option(help="the message of the commit")] = None,
    licence: Annotated[
        str | None,
        typer.Option("--license", help="the licence of the weights, as the hub names it, such as cc-by-4.0"),
    ] = None,
    with_predictions: Annotated[
        bool,
        typer.Option("--with-predictions", help="send the predictions too, which have the texts of the data"),
    ] = False,
) -> None:
    """Send RUN's model with card, record and recipe to HUB_ID, without paths, hosts and commands of this machine."""
    from rich.filesize import decimal

    from iglue_plugins.runs.folder import Run
    from iglue_plugins.runs.sharing.public_files import public_files

    with heavy_imports():
        from iglue_plugins.runs.sharing.upload import Destination, upload
    from iglue_plugins.utils.text import printable

    to = Destination(hub_id, private, branch)
    run = Run(folder)
    public = public_files(run, hub_id, with_predictions, licence)
    for file in public.files:
        print(f"{printable(file.name)}: {decimal(file.size)}")
    print(f"{len(public.files)} files, {decimal(sum(file.size for file in public.files))}, to {to.describe()}")
    for stays in public.staying:
        print(f"stays here: {printable(stays)}")
    if dry_run:
        print("nothing was sent")
    else:
        print(upload(public, to, message or f"iglue push {run.name}"))
