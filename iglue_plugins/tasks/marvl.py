"""MaRVL: is the statement true of the two images?"""

from __future__ import annotations

from torch import Tensor

from iglue_plugins.tasks.base import Task


class MaRVL(Task):
    """Two-way classification of (left image, right image, statement)."""

    head = "image_pair"
    labels = ("False", "True")
    default_pairs = "aligned"
    rows_per_example = 2

    def is_aligned(self, labels: Tensor) -> Tensor:
        return labels == self.labels.index("True")

    def contrastive_image_inputs(self, regions: dict[str, Tensor]) -> dict[str, Tensor]:
        """Both images' regions in one sequence: (2B, R, ...) to (B, 2R, ...)."""
        return {key: value.reshape(-1, 2 * value.shape[1], *value.shape[2:]) for key, value in regions.items()}
