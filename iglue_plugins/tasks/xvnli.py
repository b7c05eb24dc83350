"""XVNLI: does the image entail, contradict or leave open what the hypothesis says?"""

from __future__ import annotations

from torch import Tensor

from iglue_plugins.tasks.base import Task


class XVNLI(Task):
    """Three-way classification of (image, hypothesis)."""

    head = "classifier"
    labels = ("contradiction", "entailment", "neutral")
    default_pairs = "aligned"

    def is_aligned(self, labels: Tensor) -> Tensor:
        return labels == self.labels.index("entailment")
