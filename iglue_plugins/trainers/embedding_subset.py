"""The rows of the word embeddings that occur in a meta-step's texts: all that a gradient step on them can change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

Batch = dict[str, Tensor]

ID_KEYS = ("input_ids", "caption_input_ids")


@dataclass(frozen=True)
class EmbeddingSubset:
    """Some rows of the embedding matrix that stand for the whole matrix, with token ids that count these rows.

    This is exact: the other rows have gradient zero, so that neither an inner step without weight decay nor a
    Hessian-vector product reaches them.

    Attributes:
        name: The name of the matrix among the parameters of the module that is called.
        embeddings: The embedding layer.
        rows: The token ids that occur, int64 (R,), ascending.
    """

    name: str
    embeddings: nn.Embedding
    rows: Tensor

    @classmethod
    def from_batches(
        cls, module: nn.Module, model: PreTrainedModel, batches: Iterable[Batch]
    ) -> EmbeddingSubset | None:
        """Find the rows that the batches of a meta-step use.

        Args:
            module: The module that is called; it holds the model.
            model: The model. It sets `supports_token_id_remapping = True` where a token id does nothing but choose a
                row of `get_input_embeddings().weight`, and masks and positions come from the attention mask.
            batches: The support and query batches of all episodes.

        Returns:
            The rows, or None where the whole matrix has to stay: it is not trained, it has a second name (that of an
            output layer, say), or the model does not support other token ids.
        """
        if not getattr(model, "supports_token_id_remapping", False):
            return None
        embeddings = model.get_input_embeddings()
        names = [
            name
            for name, parameter in module.named_parameters(remove_duplicate=False)
            if parameter is embeddings.weight
        ]
        if len(names) != 1 or not embeddings.weight.requires_grad or embeddings.max_norm is not None:
            return None
        ids = [batch[key].flatten() for batch in batches for key in ID_KEYS if key in batch]
        return cls(names[0], embeddings, torch.cat(ids).unique())

    def gather(self) -> Tensor:
        """Gather the rows as a function of the whole matrix, whose gradient is zero in the other rows.

        Returns:
            float (R, hidden size).
        """
        return self.embeddings.weight.index_select(0, self.rows)

    def remap_ids(self, batch: Batch) -> Batch:
        """Replace the token ids of a batch by their places among the rows.

        Args:
            batch: A batch whose token ids are all among the rows.

        Returns:
            The batch with other token ids; its other tensors are shared.
        """
        return batch | {key: torch.searchsorted(self.rows, batch[key]) for key in ID_KEYS if key in batch}

    @contextmanager
    def padding(self) -> Iterator[None]:
        """Let the embedding layer know the padding's place among the rows, so that it passes no gradient to it."""
        padding_id = self.embeddings.padding_idx
        place = None if padding_id is None else (self.rows == padding_id).nonzero().flatten().tolist()
        self.embeddings.padding_idx = place[0] if place else None
        try:
            yield
        finally:
            self.embeddings.padding_idx = padding_id
