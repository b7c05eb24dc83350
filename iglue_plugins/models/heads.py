"""Task heads and the pre-training head.

Source: VOLTA (github.com/e-bug/iglue, volta/volta/encoders.py).
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from iglue_plugins.models.configuration import UniterConfig


class HeadSizes(Protocol):
    """Declares the part of a configuration that a two-layer head reads."""

    @property
    def classifier_hidden_size(self) -> int:
        """Returns the width between the two layers."""

    @property
    def layer_norm_eps(self) -> float:
        """Returns the epsilon of the layer normalization."""

    @property
    def head_outputs(self) -> int:
        """Returns the number of the head's outputs."""


class TwoLayerHead(nn.Sequential):
    """A linear layer, GELU, layer normalization and a linear layer with one output for each label.

    Args:
        input_size: Width of the vectors that the head reads.
        config: The model's configuration.
    """

    def __init__(self, input_size: int, config: HeadSizes) -> None:
        hidden_size = config.classifier_hidden_size
        super().__init__(
            nn.Linear(input_size, hidden_size),
            nn.GELU(),
            nn.LayerNorm(hidden_size, config.layer_norm_eps),
            nn.Linear(hidden_size, config.head_outputs),
        )


class ImagePairHead(TwoLayerHead):
    """A two-layer head for examples of two images, which are two rows of the batch.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: UniterConfig) -> None:
        super().__init__(2 * config.pooler_size, config)

    def forward(self, fused: Tensor) -> Tensor:
        """Compute the logits of each pair of neighboring rows.

        Args:
            fused: (N, pooler_size) float; rows 2i and 2i + 1 are one example.

        Returns:
            Logits (N / 2, num_labels).
        """
        return super().forward(fused.reshape(-1, 2 * fused.shape[1]))


def build_head(config: UniterConfig) -> nn.Module | None:
    """Build the head that the configuration names, with PyTorch's default weights.

    Args:
        config: The model's configuration.

    Returns:
        A module that maps fused vectors (N, pooler_size) to logits: (N, num_labels) for classifier and vqa,
        (N / 2, num_labels) for image_pair, (N, 1) for image_text_matching. None if the configuration names no head.
    """
    if config.head is None:
        return None
    if config.head == "image_pair":
        return ImagePairHead(config)
    if config.head == "vqa":
        return TwoLayerHead(config.pooler_size, config)
    return nn.Linear(config.pooler_size, config.head_outputs)


def head_logits(head: nn.Module, fused: Tensor) -> Tensor:
    """Compute a head's logits, in float32 if its weights are bfloat16, whose 8 bits would make scores tie.

    Args:
        head: A head from `build_head`.
        fused: (N, pooler_size) float.

    Returns:
        The logits, of the shape that `build_head` states.
    """
    weights = dict(head.named_parameters())
    if {weight.dtype for weight in weights.values()} != {torch.bfloat16}:
        return head(fused)
    return functional_call(head, {name: weight.float() for name, weight in weights.items()}, fused.float())


class MaskedWordHead(nn.Module):
    """Head for masked language modeling, which scores every word of the vocabulary.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: UniterConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.bias = nn.Parameter(self.dense.weight.new_zeros(config.vocab_size))

    def forward(self, hidden: Tensor, word_embeddings: Tensor) -> Tensor:
        """Compute the logits of all words.

        Args:
            hidden: Hidden states (..., hidden_size).
            word_embeddings: The encoder's word embedding matrix (vocab_size, hidden_size).

        Returns:
            Logits (..., vocab_size).
        """
        return F.linear(self.norm(F.gelu(self.dense(hidden))), word_embeddings, self.bias)
