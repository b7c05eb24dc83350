"""Context parameters of CAVIA: a few numbers for each task of meta-learning, which shift a model's word embeddings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init


class Context(nn.Module):
    """A context c and the matrix W by which it enters a model: W c is added to the embedding of each token.

    It is a linear layer on the concatenation of its input and c, whose part for c is W. At c = 0, where c starts and
    stays unless an inner loop moves it, the model is the one without a context. W has gradients only where c has.

    Args:
        size: The number of context parameters.
        width: Width of the embeddings.

    Attributes:
        values: c, a buffer (size,), which is not stored.
        weight: W, a parameter (width, size).

    Source: CAVIA (Zintgraf et al. 2019, section 3).
    """

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.values: Tensor
        self.register_buffer("values", torch.zeros(size), persistent=False)
        self.weight = nn.Parameter(torch.empty(width, size))

    @torch.no_grad()
    def initialize(self, std: float) -> None:
        """Set c to zero, and draw W, without which c = 0 would never get a gradient.

        Args:
            std: Standard deviation of W.
        """
        init.zeros_(self.values)
        init.normal_(self.weight, std=std)

    def forward(self, embedded: Tensor) -> Tensor:
        """Shift embeddings.

        Args:
            embedded: (..., width) float.

        Returns:
            embedded + W c, of the same shape.
        """
        # Where c is constant, a gradient of zeros would let the optimizer's weight decay change W.
        weight = self.weight if self.values.requires_grad else self.weight.detach()
        return embedded + (weight * self.values).sum(-1)  # not a product of matrices, which autocast would round

    @contextmanager
    def added_to(self, embeddings: nn.Module) -> Iterator[None]:
        """Shift what a module computes inside the block.

        Args:
            embeddings: The word embeddings of a model that takes no embeddings in the place of ids.
        """
        hook = embeddings.register_forward_hook(lambda module, inputs, output: self(output))
        try:
            yield
        finally:
            hook.remove()


class ContextModel(PreTrainedModel):
    """The base of models that may have a context, whose size their configuration has as `context_size`."""

    @abstractmethod
    def place_context(self, context: Context | None) -> None:
        """Make a context the one that shifts the word embeddings.

        Args:
            context: The context; None for none.
        """

    def build_context(self) -> Context | None:
        """Make the context that the configuration names; its matrix is not initialized."""
        width = cast("nn.Embedding", self.get_input_embeddings()).embedding_dim
        return Context(self.config.context_size, width) if self.config.context_size else None

    def set_context(self, size: int) -> None:
        """Give the model a freshly initialized context, unless it has one of this size already.

        Args:
            size: The number of context parameters; 0: no context.
        """
        if size == self.config.context_size:
            return
        self.config.context_size = size
        context = self.build_context()
        if context is not None:
            context.initialize(self.config.initializer_range)
            context.to(self.device, self.dtype).train(self.training)
        self.place_context(context)


def find_context(model: nn.Module) -> tuple[str, Context] | None:
    """Find a model's context.

    Args:
        model: The model.

    Returns:
        The name of `Context.values` among the model's buffers, and the context; None where it has none.
    """
    for name, module in model.named_modules():
        if isinstance(module, Context):
            return (f"{name}.values" if name else "values"), module
    return None
