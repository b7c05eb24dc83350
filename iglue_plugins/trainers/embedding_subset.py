"""The rows of the word embeddings that a meta-step's texts have: all that a gradient step on them can change."""

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
    """A few rows in the place of the whole matrix, and ids that count them.

    Exact: the other rows have gradient zero, so that neither an inner step without weight decay nor curvature reaches
    them. name: of the matrix in the module that is called. rows: int64 (R,), the ids that occur, in order.
    """

    name: str
    embeddings: nn.Embedding
    rows: Tensor

    @classmethod
    def from_batches(
        cls, module: nn.Module, model: PreTrainedModel, batches: Iterable[Batch]
    ) -> EmbeddingSubset | None:
        """Of the batches of a meta-step, for a module that holds the model.

        None where the whole matrix has to stay: it is not trained, has a second name (of an output layer, say), or the
        model does not say by `supports_token_id_remapping = True` that an id does nothing but choose a row of
        get_input_embeddings().weight (masks and positions come from the batch's masks).
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
        """(R, H), a function of the whole matrix: its gradient is that of the matrix, with zeros in the other rows."""
        return self.embeddings.weight.index_select(0, self.rows)

    def remap_ids(self, batch: Batch) -> Batch:
        return batch | {key: torch.searchsorted(self.rows, batch[key]) for key in ID_KEYS if key in batch}

    @contextmanager
    def padding(self) -> Iterator[None]:
        """For a model that calls the embedding, which passes no gradient to the padding's row."""
        padding_id = self.embeddings.padding_idx
        place = None if padding_id is None else (self.rows == padding_id).nonzero().flatten().tolist()
        self.embeddings.padding_idx = place[0] if place else None
        try:
            yield
        finally:
            self.embeddings.padding_idx = padding_id
