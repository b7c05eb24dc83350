"""xGQA: answer a question about an image; the answers are English words, as in GQA."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from iglue_plugins.data.batching import Batch
from iglue_plugins.tasks.base import Task


class XGQA(Task):
    """Classification of (image, question) over the answer vocabulary."""

    head = "vqa"
    max_text_length = 40

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Compute the binary cross-entropy of `Task.loss`, multiplied by the number of answers.

        Args:
            logits: (B, answers) floating point.
            batch: The batch, of which `labels` (B,) int64 is used.

        Returns:
            A scalar.

        Source:
            VOLTA, which scales the loss of GQA by the number of answers.
        """
        return super().loss(logits, batch) * self.num_labels


def vocabulary_targets(labels: Sequence[str], vocabulary: Sequence[str]) -> Tensor:
    """Convert answers to class indices.

    Args:
        labels: The answer of each example.
        vocabulary: The answers that a model can give.

    Returns:
        (examples,) int64; -1 for an answer that is not in the vocabulary, which no model predicts.
    """
    index = {label: i for i, label in enumerate(vocabulary)}
    return torch.tensor([index.get(label, -1) for label in labels])
