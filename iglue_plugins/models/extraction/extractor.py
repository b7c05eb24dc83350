"""The extraction of region features from photographs by a vision model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from iglue_plugins.data.stores.format import StoreMetadata
from iglue_plugins.models.extraction.grid import describe_grid, load_grid_extractor
from iglue_plugins.models.extraction.pictures import FolderPictures
from iglue_plugins.models.extraction.pipeline import (
    StoreOptions,
    find_finished,
    make_store,
    parse_device,
    parse_precision,
)


@dataclass(frozen=True)
class ExtractionOptions(StoreOptions):
    """Says how features are computed.

    Attributes:
        grid: The number of rows, and of columns, of cells.
    """

    grid: int = 6


def extract(
    images: Path,
    destination: Path,
    model: str,
    revision: str | None = None,
    options: ExtractionOptions = ExtractionOptions(),
) -> tuple[StoreMetadata, bool]:
    """Make a store of the features that a vision model computes of the cells of a grid; continues where a call stopped.

    Args:
        images: The folder of pictures; `<name>.jpg` gives the image `<name>`. Sub folders are not looked into.
        destination: The folder of the store: new, empty, or with an unfinished store of the same pictures and settings.
        model: A hub id or a local folder of a vision model, or of a model of pictures and texts that has one.
        revision: The hub revision.
        options: How features are computed; `GridExtractor` says what they are.

    Returns:
        The store's metadata, which names the pictures that are left out since they are damaged, and whether anything
        was computed.

    Raises:
        UserError: The pictures or the model cannot be read, an option does not fit, or the destination holds something
            else or cannot be written.
    """
    device = parse_device(options.device)
    precision = parse_precision(options.precision, device)
    pictures = FolderPictures(images)
    _, settings = describe_grid(model, revision, options.grid, precision)
    if (metadata := find_finished(pictures, destination, settings, options)) is not None:
        return metadata, False
    extractor = load_grid_extractor(model, revision, options.grid, precision, device)
    return make_store(pictures, destination, extractor, options)
