"""`iglue runs`: what runs there are, how far they got, and what they scored; removing and passing them on."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from iglue_plugins.cli.default_command import DefaultCommandGroup
from iglue_plugins.utils.errors import UserError

app = typer.Typer(
    cls=DefaultCommandGroup,
    help="List runs, as `iglue runs [FOLDER]...` without a command does; look at one; remove, export and import them.",
)

AsJSON = Annotated[bool, typer.Option("--json", help="print JSON, unrounded")]


@app.command("list")
def list_(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[FOLDER]...", help="folders of runs; default: runs")
    ] = None,
    task: Annotated[str | None, typer.Option(help="only runs of this task")] = None,
    trainer: Annotated[str | None, typer.Option(help="only runs of this trainer")] = None,
    state: Annotated[str | None, typer.Option(help="finished, running, stopped, failed or damaged")] = None,
    name: Annotated[str | None, typer.Option(metavar="PATTERN", help="only runs of such a name, as 'xvl_*'")] = None,
    seed: Annotated[str | None, typer.Option(help="only runs of these seeds, comma-separated")] = None,
    split: Annotated[
        str | None, typer.Option(help="the split of the mean; default: test, or the first that a run was scored on")
    ] = None,
    as_json: AsJSON = False,
) -> None:
    """List the runs of FOLDERs: what they are, how far they got, their mean score over target languages, their size."""
    from iglue_plugins.reporting import run_list

    chosen = run_list.RunFilter(task, trainer, state, name, _seeds(seed))
    rows = run_list.list_runs(folders or [Path("runs")], chosen, split)
    if as_json:
        print(json.dumps(run_list.to_json(rows), ensure_ascii=False, indent=2))
        return
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else max([120, *(len(row.folder) + 110 for row in rows)]))
    for part in run_list.render_list(rows):
        console.print(part, soft_wrap=not sys.stdout.isatty())


def _seeds(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--seed: '{text}' is not a list of whole numbers such as 0,1,2") from None


@app.command("rm")
def remove(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="the folders of runs")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
) -> None:
    """Remove RUNs; those that run, and those that other runs of their folder start from, are refused."""
    from rich.filesize import decimal

    from iglue_plugins.runs import removal
    from iglue_plugins.runs.folder import Run
    from iglue_plugins.runs.status import folder_size

    found = [Run(folder) for folder in dict.fromkeys(runs)]
    removal.check_removable(found)
    sizes = {run.folder: folder_size(run.folder) for run in found}
    for folder, size in sizes.items():
        print(f"{folder}: {decimal(size)}")
    print(f"{len(found)} run{'s' * (len(found) != 1)}, {decimal(sum(sizes.values()))}")
    if not yes:
        if not sys.stdin.isatty():
            raise UserError("nothing was removed, since there is no terminal to ask on; add --yes")
        typer.confirm("Remove?", abort=True)
    removal.remove(found)
    print("removed")


@app.command()
def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="the folder of a run, finished or not")],
    as_json: AsJSON = False,
) -> None:
    """Print what is known of RUN: settings that differ from defaults, stages before, scores, files, processes."""
    from iglue_plugins.reporting.run_details import describe, read_details
    from iglue_plugins.runs.folder import Run
    from iglue_plugins.utils.text import printable

    details = read_details(Run(run))
    if as_json:
        print(json.dumps(details.to_json(), ensure_ascii=False, indent=2))
    else:
        for line in describe(details):
            print(printable(line))


@app.command()
def export(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="the folders of finished runs")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a new file, such as runs.tar")],
    without_models: Annotated[
        bool, typer.Option("--without-models", help="leave out the models: records and predictions alone")
    ] = False,
) -> None:
    """Write RUNs into one archive, without checkpoints, for another machine's `iglue runs import`."""
    from rich.filesize import decimal

    from iglue_plugins.runs.archive import export_runs
    from iglue_plugins.runs.folder import Run

    files = export_runs([Run(run) for run in dict.fromkeys(runs)], file, not without_models)
    print(f"{file}: {len(files)} files, {decimal(sum(found.size for found in files.values()))}")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="an archive of `iglue runs export`")],
    into: Annotated[Path, typer.Option(help="the folder for runs")] = Path("runs"),
) -> None:
    """Take the runs of an archive, each file checked by its hash; a run that is there already is left as it is."""
    from iglue_plugins.runs.archive_reading import import_runs

    new, there = import_runs(file, into)
    for folder in there:
        print(f"{folder}: there already, left as it is")
    for folder in new:
        print(folder)
