"""`iglue data show`: examples of a task, or the regions of a photograph, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iglue_plugins.cli.detect import DEFAULT_DETECTOR, Boxes, Detector, Device, Preset, Revision, Weights
from iglue_plugins.cli.options import DataRoot, load_task
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.notices import quiet_libraries

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image


def show(
    task: Annotated[str | None, typer.Argument(help="a task's name, such as mini/xvnli")] = None,
    language: Annotated[str, typer.Option(help="a language code")] = "en",
    split: Annotated[str, typer.Option(help="a split")] = "test",
    examples: Annotated[int, typer.Option(min=1, help="how many examples to draw")] = 6,
    output: Annotated[
        Path | None, typer.Option(help="the PNG file; default: <task>-<language>.png or <image>-regions.png")
    ] = None,
    data_root: DataRoot = None,
    image: Annotated[
        Path | None, typer.Option(help="in the place of TASK: a photograph, drawn with its regions")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="the regions of --image are those of this store; default: a detector's")
    ] = None,
    detector: Detector = DEFAULT_DETECTOR,
    preset: Preset = None,
    weights: Weights = None,
    revision: Revision = None,
    boxes: Boxes = None,
    device: Device = "auto",
) -> None:
    """Draw a few examples of TASK, pictures included, or a photograph with its regions, to a PNG."""
    if (task is None) == (image is None):
        raise UserError("name either a TASK, whose examples are drawn, or a photograph by --image")
    if task is not None:
        from iglue_plugins.tasks.preview import draw_examples

        path = output or Path(f"{task.replace('/', '-')}-{language}.png")
        for line in draw_examples(load_task(task, data_root), split, language, examples, path):
            print(line)
        print(path)
        return

    from iglue_plugins.data.pictures.drawing import draw_regions, save_png
    from iglue_plugins.data.pictures.reading import read_picture

    assert image is not None  # as `task` is None
    picture = read_picture(image)
    if store is not None:
        found, labels = _stored_regions(image, picture, store)
    else:
        found, labels = _detect(picture, image, (detector, preset, weights, revision), boxes, device)
    path = output or Path(f"{image.stem}-regions.png")
    save_png(draw_regions(picture, found, labels), path)
    for label, box in zip(labels, found.tolist(), strict=True):
        print(f"{label}: {' '.join(f'{side:.0f}' for side in box)}")
    print(path)


def _stored_regions(image: Path, picture: Image.Image, folder: Path) -> tuple[np.ndarray, list[str]]:
    """Return the boxes of a photograph in a store, and what they are."""
    from iglue_plugins.data.conversion.images import image_id
    from iglue_plugins.data.stores.mapped_regions import MappedRegions

    store = MappedRegions(folder)
    position = store.position(image_id(image.name, str(image)))
    if store.size(position) != picture.size:
        width, height = store.size(position)
        raise UserError(
            f"{image}: has {picture.width} x {picture.height} pixels, but the image '{store.ids[position]}' of "
            f"{folder} had {width:.0f} x {height:.0f}; name the picture that the store was made of"
        )
    found, objects = store.boxes(position), store.objects()
    if objects is None:
        return found, [f"region {number}" for number in range(1, len(found) + 1)]
    stored = objects.image(position)
    return found, [objects.names.label(stored, region) for region in range(len(found))]


def _detect(
    picture: Image.Image,
    image: Path,
    chosen: tuple[str, str | None, str | None, str | None],
    boxes: int | None,
    device: str,
) -> tuple[np.ndarray, list[str]]:
    """Return the boxes that a detector finds in a photograph, and what they are."""
    from iglue_plugins.data.stores.objects import ObjectNames
    from iglue_plugins.models.detector.loading import load_detector
    from iglue_plugins.models.extraction.pipeline import extract_one, parse_device

    quiet_libraries()
    extractor = load_detector(*chosen, "float32", parse_device(device), boxes)
    regions = extract_one(extractor, picture, str(image))
    names = ObjectNames(tuple(extractor.class_names), tuple(extractor.attribute_names))
    if regions.objects is None:
        return regions.boxes, [f"region {number}" for number in range(1, len(regions.boxes) + 1)]
    return regions.boxes, [names.label(regions.objects, region) for region in range(len(regions.boxes))]
