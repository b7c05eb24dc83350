"""Task heads and the pre-training head (e-bug/volta: volta/encoders.py)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from iglue_plugins.models.configuration import UniterConfig


class TwoLayerHead(nn.Sequential):
    """Linear, GELU, LayerNorm, Linear."""

    def __init__(self, input_size: int, config: UniterConfig) -> None:
        hidden_size = config.classifier_hidden_size
        super().__init__(
            nn.Linear(input_size, hidden_size),
            nn.GELU(),
            nn.LayerNorm(hidden_size, config.layer_norm_eps),
            nn.Linear(hidden_size, config.num_labels),
        )


class PairedHead(TwoLayerHead):
    """Two rows make an example: (N, P), rows 2i and 2i + 1 concatenated -> (N / 2, C)."""

    def __init__(self, config: UniterConfig) -> None:
        super().__init__(2 * config.pooler_size, config)

    def forward(self, fused: Tensor) -> Tensor:
        return super().forward(fused.reshape(-1, 2 * fused.shape[1]))


def build_head(config: UniterConfig) -> nn.Module | None:
    """The head that the configuration names, with uninitialised weights.

    It maps fused vectors (N, P) to logits: classifier and answers (N, C), paired (N / 2, C), matching (N, 1).
    """
    if config.head is None:
        return None
    if config.head == "paired":
        return PairedHead(config)
    if config.head == "answers":
        return TwoLayerHead(config.pooler_size, config)
    return nn.Linear(config.pooler_size, config.num_labels)


def logits_of(head: nn.Module, fused: Tensor) -> Tensor:
    """What `head` makes of fused vectors; in float32 for weights in bfloat16, whose 8 bits would make scores tie."""
    weights = dict(head.named_parameters())
    if {weight.dtype for weight in weights.values()} != {torch.bfloat16}:
        return head(fused)
    return functional_call(head, {name: weight.float() for name, weight in weights.items()}, fused.float())


class MaskedWordHead(nn.Module):
    """Scores of every word for masked language modelling."""

    def __init__(self, config: UniterConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.bias = nn.Parameter(self.dense.weight.new_zeros(config.vocab_size))

    def forward(self, hidden: Tensor, word_embeddings: Tensor) -> Tensor:
        """Hidden states (..., H) and the encoder's word embedding matrix (V, H) -> logits (..., V)."""
        return F.linear(self.norm(F.gelu(self.dense(hidden))), word_embeddings, self.bias)
