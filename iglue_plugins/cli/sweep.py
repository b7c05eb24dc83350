"""`iglue sweep`: one recipe with many settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from iglue_plugins.cli.options import JobParameters, Jobs, Launcher, Margin, Notes, Seeds, Settings, Split
from iglue_plugins.utils.imports import heavy_imports


def sweep(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="a recipe (.yaml)")],
    over: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=V1,V2,...",
            help="a key and its values, such as auxiliary_languages=tr,ru,tr+ru or "
            "trainer.shots=1,5; several give every combination; default: each auxiliary language that has data",
        ),
    ] = None,
    seeds: Seeds = "0",
    split: Split = "test",
    margin: Margin = None,
    notes: Notes = False,
    jobs: Jobs = 1,
    override: Settings = None,
    output: Annotated[Path, typer.Option(help="folder for CSV, Markdown and PNG")] = Path("sweep"),
    launcher: Launcher = "processes",
    launch: JobParameters = None,
) -> None:
    """Run RECIPE with every combination of values; print and write the scores by language, and how they differ.

    Without --over it sweeps the auxiliary languages. What is finished is not run again.
    """
    with heavy_imports():
        from iglue_plugins.experiments import compare, sweep
    from iglue_plugins.experiments.launcher import Launch

    sweep.sweep(
        recipe,
        over or [],
        compare.parse_seeds(seeds),
        split,
        override or [],
        output,
        Launch.parse(launcher, jobs, launch or []),
        margin,
        notes,
    )
