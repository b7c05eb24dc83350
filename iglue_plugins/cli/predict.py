"""`iglue predict`: the answer of a finished run's model for images and texts of one's own."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from iglue_plugins.utils.imports import heavy_imports
from iglue_plugins.utils.lines import say


def predict(
    source: Annotated[
        str, typer.Argument(metavar="RUN", help="the folder of a finished run, or the hub id of one that was pushed")
    ],
    image: Annotated[
        list[str],
        typer.Option(help="a picture, or an image of the run's task by its id; several times for several"),
    ],
    text: Annotated[list[str], typer.Option(help="the text; in retrieval several times for several")],
    language: Annotated[
        str | None,
        typer.Option(help="the text's language; shown with the run's score in it, it changes nothing else"),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(help="what makes regions of a picture; default: what made the region store of the run's task"),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="the detector's way of choosing boxes, such as iglue-36")] = None,
    weights: Annotated[
        str | None, typer.Option(help="the file, folder or hub id of what makes regions of a picture")
    ] = None,
    weights_revision: Annotated[str | None, typer.Option(help="the hub revision of the detector's weights")] = None,
    boxes: Annotated[
        int | None, typer.Option(min=1, help="the number of boxes of a detector of transformers; default: its own")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="how many labels, texts or images to show, the best first")] = 5,
    revision: Annotated[str | None, typer.Option(help="the hub revision of RUN: a commit, tag or branch")] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY.PATH=VALUE", help="a setting of RUN's recipe, such as task.data_root=FOLDER"
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="print a JSON object")] = False,
) -> None:
    """Ask the model of RUN about a picture of your own, or two, and a text; in retrieval, about several of either."""
    with heavy_imports():
        from iglue_plugins.runs.predictor import Predictor
        from iglue_plugins.runs.region_extractors import ExtractorChoice

    choice = ExtractorChoice(detector, preset, weights, weights_revision, boxes)
    predictor = Predictor.from_run(source, choice, device, revision, setting or [])
    answer = predictor.predict(image, text, language).top(top)
    for note in answer.notes:
        say(f"iglue: {note}")
    print(json.dumps(answer.to_dict(), indent=2) if as_json else answer)
