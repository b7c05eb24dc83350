"""The task head of a model, which each task replaces by its own."""

from __future__ import annotations

from abc import abstractmethod

from torch import nn
from transformers import PreTrainedModel

from iglue_plugins.models.configuration import check_head


class ReplaceableHeadModel(PreTrainedModel):
    """The base of models whose configuration names a task head, by `head` and `num_labels`.

    Attributes:
        head: The task head; None for none, and for one without weights.
    """

    head: nn.Module | None

    @abstractmethod
    def build_head(self) -> nn.Module | None:
        """Make the head that the configuration names, with PyTorch's default weights."""

    def set_head(self, kind: str, num_labels: int) -> None:
        """Give the model a freshly initialized head, unless it has one of this kind and size already.

        Args:
            kind: The kind of head (`configuration.HEADS`).
            num_labels: The number of the head's outputs.

        Raises:
            ValueError: No head of this kind with this many outputs exists.
        """
        current = check_head(kind, num_labels)
        if (current, num_labels) == (self.config.head, self.config.num_labels):
            return
        self.config.head, self.config.num_labels = current, num_labels
        head = self.build_head()
        if head is not None:
            head = head.apply(self._init_weights).to(self.device, self.dtype).train(self.training)
        self.head = head
