"""`iglue report`: finished runs as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from iglue_plugins.cli.options import (
    LMMSEvalFiles,
    Margin,
    Published,
    PublishedModels,
    PublishedSettings,
    Seeds,
    Settings,
    Split,
)


def report(
    rows: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN_OR_FOLDER_OR_RECIPE...",
            help="finished runs, folders of runs or of recipes, recipes whose runs are finished; the first is the "
            "baseline",
        ),
    ],
    seeds: Seeds = "0",
    split: Split = "test",
    margin: Margin = None,
    override: Settings = None,
    output: Annotated[Path, typer.Option(help="folder of the page, index.html")] = Path("report"),
    pictures: Annotated[
        Path | None, typer.Option(help="folder of the pictures, for tasks whose recipe names none, such as of regions")
    ] = None,
    published: Published = False,
    published_models: PublishedModels = None,
    published_settings: PublishedSettings = None,
    lmms_eval: LMMSEvalFiles = None,
) -> None:
    """Write one HTML page of finished runs: tables, charts, learning curves, and examples on which rows disagree.

    Nothing is run for it. The page has texts and small copies of pictures of examples inside.
    """
    from iglue_plugins.experiments import compare
    from iglue_plugins.experiments import report as reports
    from iglue_plugins.published import PublishedFilter

    chosen = PublishedFilter.parse(published, published_models, published_settings)
    page = reports.report(
        rows, compare.parse_seeds(seeds), split, override or [], output, chosen, lmms_eval or [], margin, pictures
    )
    print(page)
