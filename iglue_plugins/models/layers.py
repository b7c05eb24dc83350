"""The transformer layer of the encoder, and running it again as it was for gradient checkpointing.

Source: VOLTA in its IGLUE version (github.com/e-bug/iglue, volta/volta/encoders.py).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from iglue_plugins.models.configuration import UniterConfig

ATTENTION_BACKENDS = {
    SDPBackend.MATH: torch.backends.cuda.math_sdp_enabled,
    SDPBackend.FLASH_ATTENTION: torch.backends.cuda.flash_sdp_enabled,
    SDPBackend.EFFICIENT_ATTENTION: torch.backends.cuda.mem_efficient_sdp_enabled,
    SDPBackend.CUDNN_ATTENTION: torch.backends.cuda.cudnn_sdp_enabled,
}


class TransformerLayer(nn.Module):
    """Self-attention and a feed-forward block, each followed by a layer normalization (post-norm).

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: UniterConfig) -> None:
        super().__init__()
        hidden_size, eps = config.hidden_size, config.layer_norm_eps
        self.heads = config.num_attention_heads
        self.attention_dropout = config.attention_probs_dropout_prob
        self.query_key_value = nn.Linear(hidden_size, 3 * hidden_size)
        self.attention_output = nn.Linear(hidden_size, hidden_size)
        self.attention_norm = nn.LayerNorm(hidden_size, eps)
        self.intermediate = nn.Linear(hidden_size, config.intermediate_size)
        self.output = nn.Linear(config.intermediate_size, hidden_size)
        self.output_norm = nn.LayerNorm(hidden_size, eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, hidden: Tensor, mask: Tensor, rows: slice | None = None) -> Tensor:
        """Compute the layer's hidden states.

        Args:
            hidden: (N, L, H) float, the hidden states of the layer before.
            mask: (N, 1, 1, L) float, added to the attention scores.
            rows: The places of the sequence to compute; None: all of them.

        Returns:
            Hidden states (N, L, H), or (N, places, H) if `rows` is given.
        """
        query, key, value = self.query_key_value(hidden).unflatten(-1, (3, self.heads, -1)).transpose(1, 3).unbind(2)
        if rows is not None:
            hidden, query = hidden[:, rows], query[:, :, rows]
        dropout = self.attention_dropout if self.training else 0.0
        context = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
        attended = self.attention_output(context.transpose(1, 2).flatten(2))
        hidden = self.attention_norm(hidden + self.dropout(attended))
        return self.output_norm(hidden + self.dropout(self.output(F.gelu(self.intermediate(hidden)))))


def enabled_backends() -> list[SDPBackend]:
    """List the attention kernels that PyTorch may use now."""
    return [backend for backend, is_enabled in ATTENTION_BACKENDS.items() if is_enabled()]


def run_layer(
    layer: nn.Module,
    parameters: dict[str, Tensor],
    backends: list[SDPBackend],
    inputs: tuple[Tensor | slice | None, ...],
) -> Tensor:
    """Run a layer with given parameters under given attention kernels.

    Args:
        layer: A `TransformerLayer`.
        parameters: The parameters to use, by their names in the layer.
        backends: The attention kernels that PyTorch may choose from.
        inputs: The arguments of `TransformerLayer.forward`.

    Returns:
        The layer's hidden states.
    """
    with sdpa_kernel(backends):
        return functional_call(layer, parameters, inputs)
