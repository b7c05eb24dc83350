"""Region features by image id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import torch

from iglue_plugins.errors import UserError


class RegionStore(Protocol):
    """Where a task's region features come from."""

    def index(self, image_ids: Iterable[str]) -> np.ndarray:
        """Positions of the images in the store, int64; an image without features is a UserError that names it."""

    def gather(self, positions: Sequence[int]) -> dict[str, torch.Tensor]:
        """Regions of the images at `positions`, padded to the largest number of regions among them.

        Returns region_features float32 (N, R, D), region_locations float32 (N, R, 5), region_mask int64 (N, R).
        """


def normalised_locations(boxes: np.ndarray, width: float, height: float) -> np.ndarray:
    """x1 y1 x2 y2 area, each as a share of the image, float32 (regions, 5), from pixel boxes (regions, 4).

    Source: VOLTA's 5-number locations for UNITER-like models.
    """
    scaled = boxes / np.asarray([width, height, width, height], dtype=np.float32)
    area = (scaled[:, 2] - scaled[:, 0]) * (scaled[:, 3] - scaled[:, 1])
    return np.concatenate([scaled, area[:, None]], axis=1, dtype=np.float32)


def with_global_region(features: np.ndarray, locations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of all regions, located at the whole image, as an extra first region (xUNITER)."""
    whole = np.asarray([[0, 0, 1, 1, 1]], dtype=np.float32)
    return np.concatenate([features.mean(0, keepdims=True), features]), np.concatenate([whole, locations])


class InMemoryRegions:
    """A region store held in memory, to which images can be added."""

    def __init__(self, feature_size: int, max_regions: int) -> None:
        self._position: dict[str, int] = {}
        self._features = torch.zeros(0, max_regions, feature_size)
        self._locations = torch.zeros(0, max_regions, 5)
        self._mask = torch.zeros(0, max_regions, dtype=torch.int64)

    def add(self, images: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
        """Add images: features float32 (regions, feature_size) and locations float32 (regions, 5) by image id."""
        start, count = len(self._mask), len(images)
        self._position.update((image_id, start + i) for i, image_id in enumerate(images))
        self._features, self._locations, self._mask = (
            torch.cat([held, held.new_zeros(count, *held.shape[1:])])
            for held in (self._features, self._locations, self._mask))
        for position, (features, locations) in enumerate(images.values(), start):
            self._features[position, : len(features)] = torch.from_numpy(features)
            self._locations[position, : len(features)] = torch.from_numpy(locations)
            self._mask[position, : len(features)] = 1

    def index(self, image_ids: Iterable[str]) -> np.ndarray:
        try:
            return np.asarray([self._position[image_id] for image_id in image_ids], dtype=np.int64)
        except KeyError as error:
            raise UserError(f"image {error} has no region features among the {len(self._position)} stored") from None

    def gather(self, positions: Sequence[int]) -> dict[str, torch.Tensor]:
        positions = torch.as_tensor(np.asarray(positions))
        mask = self._mask[positions]
        longest = int(mask.sum(1).max())
        return {
            "region_features": self._features[positions, :longest],
            "region_locations": self._locations[positions, :longest],
            "region_mask": mask[:, :longest],
        }
