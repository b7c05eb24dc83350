"""XVNLI: does the image entail, contradict or leave open what the hypothesis says?"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.settings import PairChoice


class XVNLI(Task):
    """Three-way classification of (image, hypothesis)."""

    head = "classifier"
    labels = ("contradiction", "entailment", "neutral")
    default_pairs: ClassVar[PairChoice] = "aligned"

    def is_aligned(self, labels: Tensor) -> Tensor:
        """Return which examples have a hypothesis that their image entails: (B,) bool from (B,) int64."""
        return labels == self.labels.index("entailment")
