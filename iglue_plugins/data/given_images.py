"""Images that a user names, in the place of a task's own: files of pictures, and images of the task among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from iglue_plugins.data.batching import BatchedTask
from iglue_plugins.data.pictures.reading import read_picture
from iglue_plugins.data.pictures.source import PictureSource
from iglue_plugins.data.regions import Positions, RegionLayout, RegionStore


class GivenPictures:
    """Reads the pictures of files, and those of a task's images; a `PictureSource`.

    Args:
        files: The files, by the names of images.
        others: Where the pictures of all other images are; None: there are none.
    """

    def __init__(self, files: Mapping[str, Path], others: PictureSource | None = None) -> None:
        self._files = files
        self._others = others

    def has(self, image_id: str) -> bool:
        """Tell whether there is a picture of an image; see `PictureSource.has`."""
        return image_id in self._files or (self._others is not None and self._others.has(image_id))

    def picture(self, image_id: str, least_side: int | None = None) -> Image.Image:
        """Read a picture; see `PictureSource.picture`."""
        if self._others is not None and image_id not in self._files:
            return self._others.picture(image_id, least_side)
        return read_picture(self._files[image_id], least_side)


class GivenRegions:
    """Reads the regions of images that lie in several stores; a `RegionStore`.

    Args:
        stores: The store of each image, by its id; at least one.
    """

    def __init__(self, stores: Mapping[str, RegionStore]) -> None:
        self._position = {image_id: position for position, image_id in enumerate(stores)}
        self._places = [(store, store.index([image_id])) for image_id, store in stores.items()]
        self.feature_size = self._places[0][0].feature_size

    def index(self, image_ids: Iterable[str]) -> np.ndarray:
        """Look up the positions of images; see `RegionStore.index`."""
        return np.asarray([self._position[image_id] for image_id in image_ids], dtype=np.int64)

    def box_counts(self, positions: Positions) -> np.ndarray:
        """Return the number of boxes of each image, (N,) int64."""
        return np.concatenate([store.box_counts(place) for store, place in self._select(positions)])

    def gather(self, positions: Positions, layout: RegionLayout = RegionLayout()) -> dict[str, Tensor]:
        """Return the regions of some images as a model reads them; see `RegionStore.gather`."""
        images = [store.gather(place, layout) for store, place in self._select(positions)]
        longest = max(image["region_mask"].shape[1] for image in images)
        return {key: torch.cat([_padded(image[key], longest) for image in images]) for key in images[0]}

    def _select(self, positions: Positions) -> list[tuple[RegionStore, np.ndarray]]:
        return [self._places[position] for position in positions]


def _padded(regions: Tensor, length: int) -> Tensor:
    """Add zeros to the regions of an image, (1, R, ...), up to a length: (1, length, ...)."""
    padding = regions.new_zeros(1, length - regions.shape[1], *regions.shape[2:])
    return torch.cat([regions, padding], 1)


class TaskOnGivenImages:
    """A task that reads other images than its own, and whose examples have no labels; a `BatchedTask`.

    Args:
        task: The task.
        regions: The regions of the images; None where the model reads pictures.
        pictures: The pictures of the images; None where the model reads regions.
    """

    def __init__(
        self, task: BatchedTask, regions: RegionStore | None = None, pictures: PictureSource | None = None
    ) -> None:
        self._task = task
        self.regions = regions
        self.pictures = pictures
        self.name = task.name
        self.num_labels = task.num_labels
        self.max_text_length = task.max_text_length
        self.max_boxes = task.max_boxes
        self.global_region_takes_a_box = task.global_region_takes_a_box

    def rows(
        self, examples: np.ndarray, batcher: Any, rng: np.random.Generator | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Choose the (text, image) rows of a batch, as the task does."""
        return self._task.rows(examples, batcher, rng)

    def targets(self, labels: Sequence[str]) -> Tensor:
        """Return 0 in the place of each class index, (B,) int64."""
        return torch.zeros(len(labels), dtype=torch.int64)
