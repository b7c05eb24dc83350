"""What tasks and trainers ask of a model beside being a `transformers.PreTrainedModel`."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor


class HasTaskHeads(Protocol):
    """A model whose task head can be replaced."""

    def set_head(self, kind: str, num_labels: int) -> None:
        """Give the model a freshly initialized head, unless it has one of this kind and size already.

        Args:
            kind: The kind of head, as a task names it.
            num_labels: The number of outputs.
        """


class EmbedsPairs(Protocol):
    """A model that embeds texts and images into one space, for the contrastive loss."""

    def embed_pairs(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Embed image-text pairs.

        Args:
            args: The inputs of a batch's pairs, usually by keyword.
            kwargs: The inputs of a batch's pairs, and `joint`: whether one pass over text and image gives both vectors.

        Returns:
            L2-normalized text and image vectors, float (pairs, size) each.
        """
