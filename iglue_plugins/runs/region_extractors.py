"""What makes the regions of pictures that a run's task does not have: what made those of the task, or another one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from iglue_plugins.data.conversion.images import SourceImage
from iglue_plugins.data.pictures.reading import read_picture
from iglue_plugins.data.regions import InMemoryRegions
from iglue_plugins.data.stores.format import METADATA_FILE, ExtractionSettings, StoreMetadata, read_metadata
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.data.stores.region_stores import RegionStores
from iglue_plugins.models.detector.loading import load_detector
from iglue_plugins.models.extraction.base import RegionExtractor
from iglue_plugins.models.extraction.loading import load_extractor
from iglue_plugins.models.extraction.pipeline import extract_one
from iglue_plugins.tasks.base import Task
from iglue_plugins.utils.errors import UserError

NAMES = {"model", "weights"}  # settings that name what `revision` identifies


@dataclass(frozen=True)
class ExtractorChoice:
    """Says what makes regions of pictures.

    Attributes:
        detector: The name of a detector; None takes what made the region store of the run's training examples.
        preset: How the detector's boxes are chosen; None takes the detector's default.
        weights: The file, folder or hub id of the weights; None takes those that the store or the detector names.
        weights_revision: The hub revision of the detector's weights.
        boxes: The number of boxes of a detector of transformers; None takes its usual number.

    Raises:
        UserError: There is a preset, revision or number of boxes without a detector.
    """

    detector: str | None = None
    preset: str | None = None
    weights: str | None = None
    weights_revision: str | None = None
    boxes: int | None = None

    def __post_init__(self) -> None:
        for name in ("preset", "weights_revision", "boxes"):
            value = getattr(self, name)
            if self.detector is None and value is not None:
                raise UserError(f"--{name.replace('_', '-')}: '{value}' is of a detector; name it by --detector")


def choose_extractor(task: Task, choice: ExtractorChoice, device: torch.device) -> tuple[RegionExtractor, list[str]]:
    """Load what makes regions of pictures.

    Args:
        task: The run's task, whose region stores say what made them.
        choice: What the user wants.
        device: The device that it computes on.

    Returns:
        The extractor, and sentences on settings in which it is not what made the store.

    Raises:
        UserError: No store says what made it, the weights are missing or others than the store's, or cannot be loaded.
    """
    if choice.detector is not None:
        chosen = choice.preset, choice.weights, choice.weights_revision
        return load_detector(choice.detector, *chosen, "float32", device, choice.boxes), []
    folder, metadata = _training_store(task)
    stored = metadata.extraction
    if stored is None:
        raise UserError(
            f"{folder}: does not say what made its regions, which were converted from those of others; give --detector "
            "and --weights (--detector vg-r101 --preset iglue-36 for IGLUE's features of 36 boxes)"
        )
    extractor = load_extractor(stored, choice.weights, device)
    return extractor, _differences(folder, stored, extractor.settings)


def _training_store(task: Task) -> tuple[Path, StoreMetadata]:
    """Find the region store of the task's training examples, or another of the task where that is not there."""
    regions = task.regions
    if isinstance(regions, MappedRegions):
        return regions.folder, regions.metadata
    if isinstance(regions, RegionStores):
        for name in _store_names(task):
            folder = regions.folder / name
            if (folder / METADATA_FILE).is_file():
                return folder, read_metadata(folder)
    raise UserError(
        f"task {task.name} has no region store that says what makes regions of a picture; give --detector, or name "
        "images of the task by their ids"
    )


def _store_names(task: Task) -> Iterator[str]:
    yield from task.stores_of(task.training_splits["source"], task.source_language)
    for split, language, shots in task.available_splits():
        yield from task.stores_of(split, language, shots[0])


def _differences(folder: Path, stored: ExtractionSettings, found: ExtractionSettings) -> list[str]:
    """Compare what was loaded with what made a store.

    Raises:
        UserError: The weights are others.
    """
    if (stored.revision, type(stored)) != (found.revision, type(found)):
        raise UserError(
            f"--weights: the regions in {folder} were made by {stored}, but the weights are {found}; give those of the "
            "store"
        )
    expected, there = stored.model_dump(mode="json"), found.model_dump(mode="json")
    return [
        f"{key}: {there[key]!r} makes the regions of the picture, but {expected[key]!r} made those in {folder}"
        for key in expected
        if key not in NAMES and there[key] != expected[key]
    ]


def extract_regions(files: dict[str, Path], extractor: RegionExtractor) -> InMemoryRegions:
    """Make the regions of pictures.

    Args:
        files: The files of the pictures, by the names of images; at least one.
        extractor: What makes them.

    Returns:
        The regions in memory, in float32.

    Raises:
        UserError: A file is no picture, or a picture has no regions.
    """
    images = {name: _extract(path, extractor) for name, path in files.items()}
    regions = InMemoryRegions(extractor.feature_size, max(len(image.boxes) for image in images.values()))
    for name, image in images.items():
        regions.add({name: (image.features, image.boxes)}, image.width, image.height)
    return regions


def _extract(path: Path, extractor: RegionExtractor) -> SourceImage:
    image = extract_one(extractor, read_picture(path), str(path))
    if image.left_out is not None:
        raise UserError(f"{path}: has no regions ({image.left_out}); choose another picture")
    return image
