"""xGQA: answer a question about an image; the answers are English words, as in GQA."""

from __future__ import annotations

from torch import Tensor

from iglue_plugins.tasks.base import Task


class XGQA(Task):
    """Classification of (image, question) over the answer vocabulary."""

    head = "vqa"
    max_text_length = 40

    def loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """The base loss times the number of answers, as VOLTA scales it."""
        return super().loss(logits, batch) * self.num_labels
