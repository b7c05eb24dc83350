"""MaRVL: is the statement true of the two images?"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.settings import PairChoice


class MaRVL(Task):
    """Two-way classification of (left image, right image, statement)."""

    head = "image_pair"
    labels = ("False", "True")
    default_pairs: ClassVar[PairChoice] = "aligned"
    rows_per_example = 2

    def is_aligned(self, labels: Tensor) -> Tensor:
        """Return which examples have a true statement: (B,) bool from (B,) int64."""
        return labels == self.labels.index("True")

    def contrastive_image_inputs(self, regions: dict[str, Tensor]) -> dict[str, Tensor]:
        """Join the regions of both images into one sequence: (2B, R, ...) to (B, 2R, ...)."""
        return {key: value.reshape(-1, 2 * value.shape[1], *value.shape[2:]) for key, value in regions.items()}
