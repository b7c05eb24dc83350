"""Regions that are the cells of a grid over the map that a vision model makes of a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from iglue_plugins.data.processors.image_processor import load_image_processor
from iglue_plugins.data.stores.format import GridSettings
from iglue_plugins.models.extraction.base import (
    PictureRegions,
    PreparedPicture,
    RegionExtractor,
    UnusablePictureError,
)
from iglue_plugins.models.extraction.picture_sizes import MIN_SIDE, check_size
from iglue_plugins.models.extraction.sources import pinned_revision, source_name
from iglue_plugins.models.extraction.tower import VisionTower, load_tower
from iglue_plugins.models.extraction.views import View, ViewFinder
from iglue_plugins.utils.errors import UserError

Precision = Literal["float32", "bfloat16"]


class GridExtractor(RegionExtractor):
    """Makes regions of the cells of a grid; their features are a vision model's.

    A picture goes through the model's image processor as it is. Where that cuts out the centre of a picture, the cells
    cover the centre alone, and what lies around it has no region. A cell's features are the mean of the last hidden
    states in it (adaptive average pooling). Its box is the part of the picture that these hidden states stand for, in
    pixels of the picture; cells overlap where the grid does not divide the model's map.

    Pictures whose pixel values are of one shape go through the model together.

    Args:
        tower: The vision model, on its device.
        processor: Its image processor.
        settings: What the store's metadata say of both, and the grid.
    """

    def __init__(self, tower: VisionTower, processor: Any, settings: GridSettings) -> None:
        self.settings: GridSettings = settings
        self._tower = tower
        self._processor = processor

    @cached_property
    def feature_size(self) -> int:  # type: ignore[override]  # computed when it is asked for
        """The number of features of a region, which the model itself is asked for."""
        pixels = torch.from_numpy(self._process(Image.new("RGB", (2 * MIN_SIDE, 2 * MIN_SIDE))))
        return self._compute([pixels])[0].shape[1]

    @override
    def prepare(self, picture: Image.Image) -> PreparedPicture:
        check_size(picture.size)  # of less no view can be measured
        view = self._view_finder.view(*picture.size)
        return PreparedPicture(torch.from_numpy(self._process(picture)), picture.size, view)

    @override
    def extract(self, pictures: Sequence[PreparedPicture]) -> list[PictureRegions | UnusablePictureError]:
        by_shape: dict[torch.Size, list[int]] = {}
        for position, picture in enumerate(pictures):
            by_shape.setdefault(picture.pixels.shape, []).append(position)
        regions: dict[int, PictureRegions | UnusablePictureError] = {}
        for positions in by_shape.values():
            maps, covered = self._compute([pictures[position].pixels for position in positions])
            for position, found in zip(positions, maps, strict=True):
                picture = pictures[position]
                view = picture.facts.part(*covered)
                regions[position] = PictureRegions(*pool_cells(found, view, picture.size, self.settings.grid))
        return [regions[position] for position in range(len(pictures))]

    @cached_property
    def _view_finder(self) -> ViewFinder:
        return ViewFinder(self._process)

    def _process(self, picture: Image.Image) -> np.ndarray:
        """Return the pixel values of a picture, (3, height, width) float32."""
        values = np.asarray(self._processor(images=picture, return_tensors="np")["pixel_values"], dtype=np.float32)
        if values.ndim != 4 or values.shape[:2] != (1, 3):
            raise UserError(
                f"--model: its image processor makes an array of shape {values.shape} of a picture, where one of shape "
                "(1, 3, height, width) is needed; choose another model"
            )
        return values[0]

    @torch.inference_mode()
    def _compute(self, pixels: Sequence[Tensor]) -> tuple[Tensor, tuple[float, float]]:
        """Compute the maps of pictures, (N, D, rows, columns) float32 on the CPU, and the shares that they cover."""
        weight = next(self._tower.parameters())
        try:
            features, covered = self._tower(torch.stack(list(pixels)).to(weight.device, weight.dtype))
            return features.float().cpu(), covered
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"--batch-size: the GPU has no memory for {len(pixels)} pictures at a time; choose a smaller one, the "
                "same command with it continues"
            ) from error


def describe_grid(model: str, revision: str | None, grid: int, precision: Precision) -> tuple[Any, GridSettings]:
    """Find out how regions would be made, without loading the model.

    Args:
        model: A hub id or a local folder of a vision model, or of a model of pictures and texts that has one.
        revision: The hub revision.
        grid: The number of rows, and of columns, of cells.
        precision: What the model is to compute in.

    Returns:
        The model's image processor, and what a store's metadata say.

    Raises:
        UserError: There is no such model, or it has no image processor.
    """
    processor = load_image_processor(model, revision)
    settings = GridSettings(
        model=source_name(model),
        revision=pinned_revision(model, revision, "--model"),
        grid=grid,
        precision=precision,
        image_processor=json.loads(processor.to_json_string()),
        image_backend=getattr(processor, "backend", "another"),
    )
    return processor, settings


def load_grid_extractor(
    model: str,
    revision: str | None = None,
    grid: int = 6,
    precision: Precision = "float32",
    device: torch.device | str = "cpu",
) -> GridExtractor:
    """Load a vision model whose map is cut into cells; no code of the checkpoint is run.

    Args:
        model: As of `describe_grid`.
        revision: As of `describe_grid`.
        grid: As of `describe_grid`.
        precision: As of `describe_grid`.
        device: Where the model computes.

    Raises:
        UserError: There is no such model, it lacks weights, or has no image processor.
    """
    processor, settings = describe_grid(model, revision, grid, precision)
    tower = load_tower(model, revision, getattr(torch, precision)).to(device)
    return GridExtractor(tower, processor, settings)


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
