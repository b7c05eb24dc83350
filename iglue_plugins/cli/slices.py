"""`iglue slices`: in which examples the rows of a comparison differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from iglue_plugins.cli.options import Seeds, Settings, Split


def slices(
    rows: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN_OR_RECIPE...",
            help="finished runs, folders of runs or of recipes, recipes whose runs are finished; the first is the "
            "baseline",
        ),
    ],
    by: Annotated[
        str, typer.Option(help="comma-separated: objects, regions, length, unseen")
    ] = "objects,regions,length",
    seeds: Seeds = "0",
    split: Split = "test",
    override: Settings = None,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="print Markdown")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print a JSON object, unrounded")] = False,
) -> None:
    """Print how rows differ from the first in slices of the examples; nothing is trained."""
    from iglue_plugins.experiments.compare import console, parse_seeds
    from iglue_plugins.experiments.finished_rows import read_finished
    from iglue_plugins.reporting import slice_tables, slice_wording
    from iglue_plugins.reporting.slices import check_quantities, slice_table
    from iglue_plugins.utils.errors import UserError

    if as_markdown and as_json:
        raise UserError("--markdown: it was given with --json; choose one of the two")
    names = check_quantities([name.strip() for name in by.split(",")])
    results = read_finished(rows, parse_seeds(seeds), split, override or [])
    tables = [slice_table(of_task, split, names) for of_task in results.values()]
    if as_json:
        print(json.dumps(slice_tables.slices_json(tables), ensure_ascii=False, indent=2))
    elif as_markdown:
        print("\n".join(map(slice_tables.slices_markdown, tables)), end="")
    else:
        for number, table in enumerate(tables):
            console().print(*([""] if number else []), slice_tables.SlicesView(table))
            for sentence in slice_wording.describe_slopes(table):
                print(sentence)
