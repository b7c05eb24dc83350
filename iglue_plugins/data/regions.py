"""Region features by image id, and how a model reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from iglue_plugins.utils.errors import UserError


@dataclass(frozen=True)
class RegionLayout:
    """How a model reads an image's regions (VOLTA's add_global_imgfeat and num_locs).

    global_region: the mean of all of the image's regions, located at the whole image, stands first (xUNITER, mUNITER).
    location_size: 5 (x1 y1 x2 y2 area) or 7 (x1 y1 x2 y2 width height area, UC2), as shares of the image.
    max_regions: how many regions are kept, the first ones, the global one included; None: all.
    """

    global_region: bool = True
    location_size: int = 5
    max_regions: int | None = None

    def __post_init__(self) -> None:
        if self.location_size not in (5, 7):
            raise UserError(
                f"region_location_size: found {self.location_size}, expected 5 (x1 y1 x2 y2 area) or 7 "
                "(x1 y1 x2 y2 width height area)"
            )


class RegionStore(Protocol):
    """Where a task's region features come from."""

    @property
    def feature_size(self) -> int:
        """The size of a region's feature vector."""

    def index(self, image_ids: Iterable[str]) -> np.ndarray:
        """Positions of the images in the store, int64; an image without features is a UserError that names it."""

    def box_counts(self, positions: Sequence[int]) -> np.ndarray:
        """How many boxes each of the images at `positions` has, int64; reads no features."""

    def gather(self, positions: Sequence[int], layout: RegionLayout = RegionLayout()) -> dict[str, Tensor]:
        """Regions of the images at `positions`, padded to the largest number of regions among them, as `lay_out`."""


def lay_out(features: Tensor, boxes: Tensor, sizes: Tensor, mask: Tensor, layout: RegionLayout) -> dict[str, Tensor]:
    """The regions of N images as a model reads them.

    features float32 (N, R, D) and boxes float32 (N, R, 4), x1 y1 x2 y2 in pixels: both 0 where mask, int64 (N, R),
    is; sizes float32 (N, 2): width and height in pixels. Where the layout has a global region, its features may stand
    first already: features (N, 1 + R, D).
    Returns region_features float32 (N, R', D), region_locations float32 (N, R', layout.location_size) and
    region_mask int64 (N, R').
    """
    locations = normalised_locations(boxes, sizes, layout.location_size)
    if layout.global_region:
        if features.shape[1] == mask.shape[1]:
            mean = features.sum(1, keepdim=True) / mask.sum(1)[:, None, None]
            features = torch.cat([mean, features], 1)
        whole = locations.new_tensor([0, 0] + (layout.location_size - 2) * [1]).expand(len(locations), 1, -1)
        locations = torch.cat([whole, locations], 1)
        mask = torch.cat([mask.new_ones(len(mask), 1), mask], 1)
    kept = slice(layout.max_regions)
    return {"region_features": features[:, kept], "region_locations": locations[:, kept], "region_mask": mask[:, kept]}


def normalised_locations(boxes: Tensor, sizes: Tensor, location_size: int) -> Tensor:
    """Boxes (N, R, 4) in pixels of images of width and height `sizes` (N, 2) as locations (N, R, location_size)."""
    corners = boxes / sizes.repeat(1, 2)[:, None]
    extent = corners[..., 2:] - corners[..., :2]
    area = extent[..., :1] * extent[..., 1:]
    return torch.cat([corners, area] if location_size == 5 else [corners, extent, area], -1)


class InMemoryRegions:
    """A region store held in memory, to which images can be added."""

    def __init__(self, feature_size: int, max_boxes: int) -> None:
        self.feature_size = feature_size
        self._position: dict[str, int] = {}
        self._features = torch.zeros(0, max_boxes, feature_size)
        self._boxes = torch.zeros(0, max_boxes, 4)
        self._sizes = torch.zeros(0, 2)
        self._mask = torch.zeros(0, max_boxes, dtype=torch.int64)

    def add(self, images: dict[str, tuple[np.ndarray, np.ndarray]], width: float, height: float) -> None:
        """Add images of one size: features float32 (regions, feature_size), pixel boxes float32 (regions, 4), by id."""
        start, count = len(self._mask), len(images)
        self._position.update((image_id, start + i) for i, image_id in enumerate(images))
        self._features, self._boxes, self._mask = (
            torch.cat([held, held.new_zeros(count, *held.shape[1:])])
            for held in (self._features, self._boxes, self._mask)
        )
        self._sizes = torch.cat([self._sizes, torch.tensor([[width, height]]).expand(count, 2)])
        for position, (features, boxes) in enumerate(images.values(), start):
            self._features[position, : len(features)] = torch.from_numpy(features)
            self._boxes[position, : len(boxes)] = torch.from_numpy(boxes)
            self._mask[position, : len(features)] = 1

    def index(self, image_ids: Iterable[str]) -> np.ndarray:
        try:
            return np.asarray([self._position[image_id] for image_id in image_ids], dtype=np.int64)
        except KeyError as error:
            raise UserError(f"image {error} has no region features among the {len(self._position)} stored") from None

    def box_counts(self, positions: Sequence[int]) -> np.ndarray:
        return self._mask[torch.as_tensor(np.asarray(positions))].sum(1).numpy()

    def gather(self, positions: Sequence[int], layout: RegionLayout = RegionLayout()) -> dict[str, Tensor]:
        positions = torch.as_tensor(np.asarray(positions))
        mask = self._mask[positions]
        longest = int(mask.sum(1).max())
        return lay_out(
            self._features[positions, :longest],
            self._boxes[positions, :longest],
            self._sizes[positions],
            mask[:, :longest],
            layout,
        )
