"""Options that commands which make several runs share."""

from __future__ import annotations

from typing import Annotated

import typer

Seeds = Annotated[str, typer.Option(help="comma-separated; each recipe is run with each seed")]
Split = Annotated[str, typer.Option(help="the split to score")]
Jobs = Annotated[int, typer.Option(min=1, help="runs at a time on this machine, a process each")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="KEY.PATH=VALUE for every recipe")]
Launcher = Annotated[str, typer.Option(help="processes; or slurm or local: jobs, by submitit")]
JobParameters = Annotated[
    list[str] | None,
    typer.Option(
        "--launch",
        metavar="KEY=VALUE",
        help="of jobs, by submitit's names, such as slurm_partition=gpu; may be repeated",
    ),
]
