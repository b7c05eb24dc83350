"""The extraction of region features from photographs by a vision model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from iglue_plugins.data.conversion.converter import finished_store, parse_dtype
from iglue_plugins.data.conversion.destination import ConversionSettings, locked_destination
from iglue_plugins.data.conversion.images import SourceImage, image_id, make_image
from iglue_plugins.data.conversion.store_writer import StoreWriter
from iglue_plugins.data.loading import read_ahead
from iglue_plugins.data.processors.image_processor import load_image_processor
from iglue_plugins.data.stores.format import GridSettings, SourceIdentity, StoreMetadata
from iglue_plugins.models.extraction.pictures import ProcessedPicture, ProcessedPictures, list_pictures
from iglue_plugins.models.extraction.sources import pinned_revision, source_name
from iglue_plugins.models.extraction.tower import VisionTower, load_tower
from iglue_plugins.models.extraction.views import View
from iglue_plugins.utils.errors import UserError, did_you_mean, first_line
from iglue_plugins.utils.progress import progress_bar
from iglue_plugins.utils.text import printable
from iglue_plugins.utils.threads import threads_for

PrecisionName = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class ExtractionOptions:
    """Says how features are computed.

    Attributes:
        grid: The number of rows, and of columns, of cells.
        batch_size: Pictures that the model computes at a time.
        device: 'auto', which is a GPU where there is one, or a device of PyTorch.
        precision: 'float32', 'bfloat16', or 'auto', which is bfloat16 on a GPU that supports it.
        dtype: The type of the stored features, 'float16' or 'float32'.
        jobs: How many processes read pictures.
    """

    grid: int = 6
    batch_size: int = 32
    device: str = "auto"
    precision: str = "auto"
    dtype: str = "float16"
    jobs: int = 1


def extract(
    images: Path,
    destination: Path,
    model: str,
    revision: str | None = None,
    options: ExtractionOptions = ExtractionOptions(),
) -> tuple[StoreMetadata, bool]:
    """Make a store of the features that a vision model computes of the cells of a grid; continues where a call stopped.

    A picture goes through the model's image processor as it is. Where that cuts out the centre of a picture, the cells
    cover the centre alone, and what lies around it has no region. A cell's features are the mean of the last hidden
    states in it (adaptive average pooling). Its box is the part of the picture that these hidden states stand for, in
    pixels of the picture; cells overlap where the grid does not divide the model's map.

    Args:
        images: The folder of pictures; `<name>.jpg` gives the image `<name>`. Sub folders are not looked into.
        destination: The folder of the store: new, empty, or with an unfinished store of the same pictures and settings.
        model: A hub id or a local folder of a vision model, or of a model of pictures and texts that has one.
        revision: The hub revision.
        options: How features are computed.

    Returns:
        The store's metadata, which names the pictures that are left out since they are damaged, and whether anything
        was computed.

    Raises:
        UserError: The pictures or the model cannot be read, an option does not fit, or the destination holds something
            else or cannot be written.
    """
    device, dtype = _parse_device(options.device), parse_dtype(options.dtype)
    precision = _parse_precision(options.precision, device)
    names = list_pictures(images)
    processor = load_image_processor(model, revision)
    settings = ConversionSettings(
        dtype=dtype,
        sources=(SourceIdentity(name=printable(images.resolve().name), size=len(names)),),
        extraction=GridSettings(
            model=source_name(model),
            revision=pinned_revision(model, revision, "--model"),
            grid=options.grid,
            precision=precision,
            image_processor=json.loads(processor.to_json_string()),
            image_backend=getattr(processor, "backend", "another"),
        ),
    )
    if (metadata := finished_store(destination, settings)) is not None:
        return metadata, False
    tower = load_tower(model, revision, getattr(torch, precision)).to(device)
    with locked_destination(destination, settings), StoreWriter(destination, settings) as writer, threads_for(tower):
        start = writer.images_read[0]
        pictures = ProcessedPictures(images, names[start:], processor)
        with progress_bar(total=len(names), initial=start, desc=destination.name, unit=" pictures") as progress:
            for batch in _load(pictures, options):
                for image in _extract_batch(batch, tower, options.grid, images):
                    writer.add(0, image)
                    progress.update()
        return writer.finish(), True


def _parse_device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # a PyTorch without CUDA fails by an assertion
        raise UserError(f"--device: '{name}' cannot be used ({first_line(error)}); choose auto, cpu or cuda") from error
    return device


def _parse_precision(name: str, device: torch.device) -> PrecisionName:
    if name == "auto":
        return "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    for precision in get_args(PrecisionName):
        if name == precision:
            return precision
    raise UserError(f"--precision: found '{name}'{did_you_mean(name, ['auto', *get_args(PrecisionName)])}")


def _load(pictures: ProcessedPictures, options: ExtractionOptions) -> Iterator[list[ProcessedPicture]]:
    """Read the pictures in batches, in their order.

    Raises:
        UserError: The whole folder cannot be used.
    """
    size = options.batch_size

    def make_batch(number: int) -> list[ProcessedPicture]:
        return [pictures[i] for i in range(number * size, min((number + 1) * size, len(pictures)))]

    try:
        yield from read_ahead(make_batch, -(-len(pictures) // size), options.jobs if options.jobs > 1 else 0)
    except UserError as error:
        raise UserError(f"{error}; what is extracted is kept, and the same command continues") from error


def _extract_batch(
    batch: Sequence[ProcessedPicture], tower: VisionTower, grid: int, folder: Path
) -> Iterator[SourceImage]:
    """Compute the features of a batch; pictures whose pixel values are of one shape go through the model together."""
    by_shape: dict[torch.Size, list[tuple[str, Tensor]]] = {}
    for picture in batch:
        if picture.pixels is not None:
            by_shape.setdefault(picture.pixels.shape, []).append((picture.name, picture.pixels))
    maps: dict[str, tuple[Tensor, tuple[float, float]]] = {}
    for group in by_shape.values():
        group_maps, covered = _compute([pixels for _, pixels in group], tower)
        maps |= {name: (found, covered) for (name, _), found in zip(group, group_maps, strict=True)}
    for picture in batch:
        where = str(folder / picture.name)
        if picture.view is None:
            nothing = np.zeros((0, 4), dtype=np.float32)
            yield SourceImage(image_id(picture.name, where), where, nothing, nothing, left_out=picture.left_out)
            continue
        found, covered = maps[picture.name]
        features, boxes = pool_cells(found, picture.view.part(*covered), picture.size, grid)
        fields: dict[str, Any] = {"features": features, "boxes": boxes}
        width, height = picture.size
        yield make_image(picture.name, fields | {"img_w": width, "img_h": height}, where)


@torch.inference_mode()
def _compute(pixels: Sequence[Tensor], tower: VisionTower) -> tuple[Tensor, tuple[float, float]]:
    """Compute the maps of pictures, (N, D, rows, columns) float32 on the CPU, and the shares that they cover."""
    weight = next(tower.parameters())
    try:
        features, covered = tower(torch.stack(list(pixels)).to(weight.device, weight.dtype))
        return features.float().cpu(), covered
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"--batch-size: the GPU has no memory for {len(pixels)} pictures at a time; choose a smaller one, the same "
            "command with it continues"
        ) from error


def pool_cells(features: Tensor, view: View, size: tuple[int, int], grid: int) -> tuple[np.ndarray, np.ndarray]:
    """Average a map of features over the cells of a grid.

    Args:
        features: (D, rows, columns) float32, the map.
        view: What part of the picture the map shows.
        size: Width and height of the picture in pixels.
        grid: The number of rows, and of columns, of cells.

    Returns:
        The cells' features, (cells, D) float32, and boxes, (cells, 4) float32, x1 y1 x2 y2 in pixels of the picture;
        row by row, without cells that show nothing but padding.

    Raises:
        UserError: The map has fewer rows or columns than the grid.
    """
    rows, columns = features.shape[1:]
    if grid > min(rows, columns):
        raise UserError(
            f"--grid: {grid} is too fine, since the model sees a picture as {rows} rows of {columns} places; choose at "
            f"most {min(rows, columns)}"
        )
    cells = functional.adaptive_avg_pool2d(features, grid).flatten(1).T
    across = _cell_sides(view.left, view.right, columns, grid, size[0])
    down = _cell_sides(view.top, view.bottom, rows, grid, size[1])
    boxes = np.asarray([[left, top, right, bottom] for top, bottom in down for left, right in across], dtype=np.float32)
    shows_picture = (boxes[:, :2] < boxes[:, 2:]).all(1)
    return cells.numpy()[shows_picture], boxes[shows_picture]


def _cell_sides(start: float, end: float, places: int, grid: int, side: int) -> list[tuple[float, float]]:
    """Return where each column of cells begins and ends in the picture, by the bins of adaptive pooling."""
    scale = (end - start) / places
    bounds = [(cell * places // grid, -(-(cell + 1) * places // grid)) for cell in range(grid)]
    return [(min(max(start + low * scale, 0), side), min(max(start + high * scale, 0), side)) for low, high in bounds]
