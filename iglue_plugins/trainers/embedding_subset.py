"""The rows of the word embeddings that occur in a meta-step's texts: all that a gradient step on them can change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from iglue_plugins.data.batching import Batch


@dataclass(frozen=True)
class EmbeddingSubset:
    """Some rows of the embedding matrix that stand for the whole matrix, with token ids that count these rows.

    This is exact: the other rows have gradient zero, so that neither an inner step without weight decay nor a
    Hessian-vector product reaches them.

    Attributes:
        name: The name of the matrix among the parameters of the module that is called.
        embeddings: The embedding layer.
        rows: The token ids that occur, int64 (R,), ascending.
        keys: The keys of the model's inputs that hold token ids.
    """

    name: str
    embeddings: nn.Embedding
    rows: Tensor
    keys: tuple[str, ...]

    @classmethod
    def from_batches(
        cls, module: nn.Module, model: PreTrainedModel, batches: Iterable[Batch]
    ) -> EmbeddingSubset | None:
        """Find the rows that the batches of a meta-step use.

        Args:
            module: The module that is called; it holds the model.
            model: The model. Its `token_id_keys` name the inputs whose token ids do nothing but choose a row of
                `get_input_embeddings().weight`, while masks and positions come from elsewhere.
            batches: The support and query batches of all episodes.

        Returns:
            The rows, or None where the whole matrix has to stay: it is not trained, it has a second name (that of an
            output layer, say), or the model does not support other token ids.
        """
        keys = tuple(getattr(model, "token_id_keys", ()))
        if not keys:
            return None
        embeddings = model.get_input_embeddings()
        names = [
            name
            for name, parameter in module.named_parameters(remove_duplicate=False)
            if parameter is embeddings.weight
        ]
        if len(names) != 1 or not embeddings.weight.requires_grad or embeddings.max_norm is not None:
            return None
        ids: list[Tensor] = []
        for batch in batches:
            batch.map_inputs(lambda found: ids.append(found.flatten()) or found, keys)
        return cls(names[0], embeddings, torch.cat(ids).unique(), keys)

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
        return batch.map_inputs(lambda ids: torch.searchsorted(self.rows, ids), self.keys)

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
