"""Region features of images: the interface of a store, a store in memory, and the layouts that models read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from iglue_plugins.utils.errors import UserError

Positions = Sequence[int] | np.ndarray  # of images in a store, (N,) int64


@dataclass(frozen=True)
class RegionLayout:
    """Describes how a model reads an image's regions (`add_global_imgfeat` and `num_locs` in VOLTA).

    Attributes:
        global_region: Whether a global region stands first (xUNITER, mUNITER): the mean of all of the image's regions,
            located at the whole image.
        location_size: The number of coordinates of a location, as shares of the image: 5 (x1 y1 x2 y2 area) or 7 (x1 y1
            x2 y2 width height area, UC2).
        max_regions: The number of regions that are kept, the global one included and the first ones of the image; None
            keeps all.
        as_stored: Whether features stay float16 where the store has them so, for a GPU that `Inputs.to` moves them to
            and converts them on; half as many bytes are read, pinned and sent.

    Raises:
        UserError: `location_size` is neither 5 nor 7.
    """

    global_region: bool = True
    location_size: int = 5
    max_regions: int | None = None
    as_stored: bool = False

    def __post_init__(self) -> None:
        if self.location_size not in (5, 7):
            raise UserError(
                f"region_location_size: it is {self.location_size}, but has to be 5 (x1 y1 x2 y2 area) or 7 "
                "(x1 y1 x2 y2 width height area)"
            )


class RegionStore(Protocol):
    """Holds the region features of a task's images.

    Attributes:
        feature_size: The number of features of a region.
    """

    @property
    def feature_size(self) -> int:
        """The size of a region's feature vector."""

    def index(self, image_ids: Iterable[str]) -> np.ndarray:
        """Looks up the positions of images.

        Args:
            image_ids: The ids of N images.

        Returns:
            (N,) int64.

        Raises:
            UserError: An image has no features in the store; the error names the image.
        """

    def box_counts(self, positions: Positions) -> np.ndarray:
        """Returns the number of boxes of each image, without reading features.

        Args:
            positions: (N,) positions of images.

        Returns:
            (N,) int64.
        """

    def gather(self, positions: Positions, layout: RegionLayout = RegionLayout()) -> dict[str, Tensor]:
        """Returns the regions of some images as a model reads them.

        Args:
            positions: (N,) positions of images.
            layout: How the model reads regions.

        Returns:
            What `apply_layout` returns, padded to the largest number of regions among the images.
        """


def apply_layout(
    features: Tensor, boxes: Tensor, sizes: Tensor, mask: Tensor, layout: RegionLayout
) -> dict[str, Tensor]:
    """Turns the regions of N images into what a model reads.

    Args:
        features: (N, R, D) float32 or, as they are stored, float16; 0 where `mask` is 0. If the layout has a global
            region, its features may stand first already: (N, 1 + R, D).
        boxes: (N, R, 4) float32, x1 y1 x2 y2 in pixels, 0 where `mask` is 0.
        sizes: (N, 2) float32, width and height of each image in pixels.
        mask: (N, R) int64, 1 for a region and 0 for padding.
        layout: How the model reads regions.

    Returns:
        `region_features` (N, R', D) of the dtype of `features`, `region_locations` (N, R', layout.location_size)
        float32 and `region_mask` (N, R') int64, where R' counts the global region and no more than `max_regions`.
    """
    if layout.global_region:
        if features.shape[1] == mask.shape[1]:
            mean = features.sum(1, keepdim=True) / mask.sum(1)[:, None, None]
            features = torch.cat([mean, features], 1)
        mask = torch.cat([mask.new_ones(len(mask), 1), mask], 1)
    locations = torch.from_numpy(_locations(boxes.numpy(), sizes.numpy(), layout))
    kept = slice(layout.max_regions)
    return {"region_features": features[:, kept], "region_locations": locations[:, kept], "region_mask": mask[:, kept]}


def _locations(boxes: np.ndarray, sizes: np.ndarray, layout: RegionLayout) -> np.ndarray:
    """Turn boxes in pixels into locations, (N, R', layout.location_size) float32; NumPy is quicker at it.

    Args:
        boxes: (N, R, 4) float32.
        sizes: (N, 2) float32.
        layout: How the model reads regions; a global region is located at the whole image.
    """
    first = int(layout.global_region)
    locations = np.empty((len(boxes), first + boxes.shape[1], layout.location_size), dtype=np.float32)
    locations[:, :first, :2], locations[:, :first, 2:] = 0, 1
    of_boxes = locations[:, first:]
    with np.errstate(all="ignore"):  # of an image without size, or boxes beyond any, in a damaged store
        for corner in (slice(2), slice(2, 4)):
            np.divide(boxes[..., corner], sizes[:, None], out=of_boxes[..., corner])
        extent = of_boxes[..., 2:4] - of_boxes[..., :2]
        if layout.location_size == 7:
            of_boxes[..., 4:6] = extent
        np.multiply(extent[..., 0], extent[..., 1], out=of_boxes[..., -1])
    return locations


class InMemoryRegions:
    """Keeps region features in memory; images can be added at any time.

    Args:
        feature_size: The number of features of a region.
        max_boxes: The largest number of boxes of an image.

    Attributes:
        feature_size: The number of features of a region.
    """

    def __init__(self, feature_size: int, max_boxes: int) -> None:
        self.feature_size = feature_size
        self._position: dict[str, int] = {}
        self._features = torch.zeros(0, max_boxes, feature_size)
        self._boxes = torch.zeros(0, max_boxes, 4)
        self._sizes = torch.zeros(0, 2)
        self._mask = torch.zeros(0, max_boxes, dtype=torch.int64)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._position

    def add(self, images: dict[str, tuple[np.ndarray, np.ndarray]], width: float, height: float) -> None:
        """Adds images of one size.

        Args:
            images: By image id, the features (regions, feature_size) float32 and the boxes (regions, 4) float32, x1 y1
                x2 y2 in pixels.
            width: The width of the images in pixels.
            height: The height of the images in pixels.
        """
        start, count = len(self._mask), len(images)
        self._position.update((image_id, start + i) for i, image_id in enumerate(images))
        self._features, self._boxes, self._mask = (
            torch.cat([tensor, tensor.new_zeros(count, *tensor.shape[1:])])
            for tensor in (self._features, self._boxes, self._mask)
        )
        self._sizes = torch.cat([self._sizes, torch.tensor([[width, height]]).expand(count, 2)])
        for position, (features, boxes) in enumerate(images.values(), start):
            self._features[position, : len(features)] = torch.from_numpy(features)
            self._boxes[position, : len(boxes)] = torch.from_numpy(boxes)
            self._mask[position, : len(features)] = 1

    def index(self, image_ids: Iterable[str]) -> np.ndarray:
        """Looks up the positions of images; see `RegionStore.index`."""
        try:
            return np.asarray([self._position[image_id] for image_id in image_ids], dtype=np.int64)
        except KeyError as error:
            raise UserError(
                f"image {error} has no region features among the {len(self._position)} images in memory; add its "
                "features to the store"
            ) from None

    def box_counts(self, positions: Positions) -> np.ndarray:
        """Returns the number of boxes of each image, (N,) int64."""
        return self._mask[torch.as_tensor(np.asarray(positions))].sum(1).numpy()

    def gather(self, positions: Positions, layout: RegionLayout = RegionLayout()) -> dict[str, Tensor]:
        """Returns the regions of some images as a model reads them; see `RegionStore.gather`."""
        rows = torch.as_tensor(np.asarray(positions))
        mask = self._mask[rows]
        longest = int(mask.sum(1).max())
        return apply_layout(
            self._features[rows, :longest],
            self._boxes[rows, :longest],
            self._sizes[rows],
            mask[:, :longest],
            layout,
        )
