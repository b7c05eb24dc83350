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
