"""`iglue data pictures`: a smaller copy of photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from iglue_plugins.utils.lines import say


def pictures(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="the folder with the pictures and its sub folders")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="the folder of the copy, new or empty")],
    size: Annotated[int, typer.Option(min=16, help="pixels of a picture's shorter side; none is enlarged")],
    jobs: Annotated[int, typer.Option(min=1, help="pictures at a time, a process each")] = 1,
) -> None:
    """Copy the pictures of SOURCE, made smaller, as JPEGs; exit code 1 if some cannot be read, which are named.

    The same command continues a copy that was stopped.
    """
    from iglue_plugins.data.pictures.copying import copy_pictures

    report = copy_pictures(source, folder, size, jobs)
    before = report.pictures - report.written - len(report.failed)
    there = f", {before} of them there before" * bool(before)
    print(f"{folder}: {before + report.written} pictures with a shorter side of at most {size} pixels{there}")
    for sentence in report.failed.values():
        say(f"iglue: {sentence}")
    if report.failed:
        raise typer.Exit(1)
