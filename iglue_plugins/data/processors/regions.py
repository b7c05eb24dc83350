"""The processor of models that read the features of an image's regions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase
from typing_extensions import override

from iglue_plugins.data.image_kind import ImageKind
from iglue_plugins.data.inputs import Inputs
from iglue_plugins.data.processors.base import ImageFacts, Processor
from iglue_plugins.data.processors.texts import TokenizedTexts
from iglue_plugins.data.regions import RegionLayout, RegionStore
from iglue_plugins.utils.progress import progress_bar

GLOBAL_REGION_ONLY = RegionLayout(global_region=True, max_regions=1)
READ_BLOCK_SIZE = 128  # images; they take 100 MiB with 100 regions of 2048 features


class RegionImages:
    """Reads the regions of a task's images from its store.

    Args:
        store: The region features of the images.
        layout: How the model reads regions.
    """

    def __init__(self, store: RegionStore, layout: RegionLayout) -> None:
        self._store = store
        self._layout = layout

    def index(self, image_ids: Iterable[str]) -> np.ndarray:
        """Look up the positions of images in the store; see `PreparedImages.index`."""
        return self._store.index(image_ids)

    def inputs(self, positions: np.ndarray) -> Inputs:
        """Make the image side of some rows.

        Args:
            positions: (N,) int64, positions in the store.

        Returns:
            `region_features` (N, R, D) float32, or float16 as stored where a GPU converts them, `region_locations`
            (N, R, 5 or 7) float32 and `region_mask` (N, R) int64, padded to the largest number of regions among the
            images.
        """
        return Inputs(self._store.gather(positions, self._layout), len(positions))

    def descriptors(self, positions: np.ndarray) -> Tensor:
        """Compute the mean of each image's region features, (U, D) float32, as VOLTA compares images."""
        return mean_features(self._store, positions)

    def object_counts(self, positions: np.ndarray) -> np.ndarray:
        """Return the number of boxes of each image, (N,) int64."""
        return self._store.box_counts(positions)

    def region_counts(self, positions: np.ndarray) -> np.ndarray:
        """Return the number of regions that the model reads of each image, the global one left out, (N,) int64."""
        counts, most = self._store.box_counts(positions), self._layout.max_regions
        return counts if most is None else np.minimum(counts, most - self._layout.global_region)


class RegionProcessor(Processor):
    """Makes token ids and region features; the processor of xUNITER, UC2 and mUNITER.

    Args:
        tokenizer: The model's tokenizer.
        global_region: Whether the mean of an image's regions stands before them as one more region.
        location_size: The number of coordinates of a location, 5 or 7; see `RegionLayout`.

    Attributes:
        tokenizer: The model's tokenizer.
    """

    reads: ClassVar[ImageKind] = "regions"

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, *, global_region: bool = True, location_size: int = 5
    ) -> None:
        self.tokenizer = tokenizer
        self._global_region = global_region
        self._location_size = location_size

    @override
    def prepare_texts(self, texts: Sequence[str], max_length: int) -> TokenizedTexts:
        return TokenizedTexts(texts, self.tokenizer, max_length)

    @override
    def prepare_images(self, task: ImageFacts) -> RegionImages:
        return RegionImages(task.regions, self.layout(task))

    @override
    def save_pretrained(self, folder: str | Path) -> None:
        self.tokenizer.save_pretrained(str(folder))

    def layout(self, task: ImageFacts) -> RegionLayout:
        """Return how the model reads a task's regions.

        Args:
            task: The task.
        """
        extra = self._global_region and not task.global_region_takes_a_box
        max_regions = None if task.max_boxes is None else task.max_boxes + extra
        return RegionLayout(self._global_region, self._location_size, max_regions, torch.cuda.is_available())


def mean_features(regions: RegionStore, images: np.ndarray) -> Tensor:
    """Compute the mean of each image's region features; reads the images block by block.

    Args:
        regions: The region features of the images.
        images: (U,) int64, positions in the store.

    Returns:
        (U, feature_size) float32.
    """
    means = torch.empty(len(images), regions.feature_size)
    for start in progress_bar(iterable=range(0, len(images), READ_BLOCK_SIZE), desc="mean features"):
        block = slice(start, start + READ_BLOCK_SIZE)
        means[block] = regions.gather(images[block], GLOBAL_REGION_ONLY)["region_features"][:, 0]
    return means
