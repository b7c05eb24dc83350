"""The single-stream encoder over [text; regions] of xUNITER, UC2 and mUNITER.

Reference: VOLTA in its IGLUE version (github.com/e-bug/iglue, volta/volta/encoders.py and embeddings.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from iglue_plugins.models.configuration import UniterConfig
from iglue_plugins.utils.errors import UserError

MASKED_SCORE = -10000.0  # VOLTA's; large enough to vanish in a softmax, small enough for float16
ATTENTION_BACKENDS = {
    SDPBackend.MATH: torch.backends.cuda.math_sdp_enabled,
    SDPBackend.FLASH_ATTENTION: torch.backends.cuda.flash_sdp_enabled,
    SDPBackend.EFFICIENT_ATTENTION: torch.backends.cuda.mem_efficient_sdp_enabled,
    SDPBackend.CUDNN_ATTENTION: torch.backends.cuda.cudnn_sdp_enabled,
}
LastLayer = Literal["all", "pooled", "text"]


@dataclass
class EncoderOutput(ModelOutput):
    """What the encoder computes; what is absent is None.

    text_hidden (N, T, H), region_hidden (N, R, H): last layer.
    text_pooled (N, P): non-negative, from the first token.
    region_pooled (N, region_pooled_size): non-negative, from the first region; with fusion 'text' the regions' mean.
    """

    text_hidden: Tensor | None = None
    region_hidden: Tensor | None = None
    text_pooled: Tensor | None = None
    region_pooled: Tensor | None = None


class TextEmbeddings(nn.Module):
    """Word, position and type embeddings of the tokens."""

    def __init__(self, config: UniterConfig) -> None:
        super().__init__()
        self.config = config
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(N, T) ids and mask -> (N, T, H).

        Raises:
            UserError: texts that are longer than the model has positions for.
        """
        if input_ids.shape[1] > self.config.text_capacity:
            raise UserError(
                f"input_ids: found texts of {input_ids.shape[1]} tokens, expected at most {self.config.text_capacity}, "
                f"which the model's max_position_embeddings of {self.config.max_position_embeddings} leaves"
            )
        # Not self.word_embeddings(input_ids), which would drop the gradient of a renumbered matrix's row pad_token_id.
        words = F.embedding(input_ids, self.word_embeddings.weight)
        words = words + self.position_embeddings(self.position_ids(attention_mask))
        return self.dropout(self.norm(words + self.token_type_embeddings.weight[0]))

    def position_ids(self, attention_mask: Tensor) -> Tensor:
        """(N, T) or (1, T) int64 of a mask (N, T), not of the ids: they may be renumbered to a smaller matrix's rows."""
        if self.config.position_ids == "bert":
            return torch.arange(attention_mask.shape[1], device=attention_mask.device)[None]
        return attention_mask.cumsum(1) * attention_mask + self.config.pad_token_id


class RegionEmbeddings(nn.Module):
    """Feature, location and type embeddings of the regions."""

    def __init__(self, config: UniterConfig) -> None:
        super().__init__()
        eps = config.layer_norm_eps
        self.config = config
        self.image_embeddings = nn.Linear(config.region_feature_size, config.hidden_size)
        self.image_norm = nn.LayerNorm(config.hidden_size, eps)
        self.location_embeddings = nn.Linear(config.region_location_size, config.hidden_size)
        self.location_norm = nn.LayerNorm(config.hidden_size, eps)
        if not config.shared_type_embeddings:
            self.region_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, region_features: Tensor, region_locations: Tensor, region_type: Tensor) -> Tensor:
        """(N, R, D) features, (N, R, 5 or 7) locations and the type's embedding (H,) -> (N, R, H).

        Raises:
            UserError: features or locations of another width than the model's.
        """
        self._check_width("region_features", region_features, "region_feature_size")
        self._check_width("region_locations", region_locations, "region_location_size")
        dtype = self.image_embeddings.weight.dtype
        features = self.image_norm(self.image_embeddings(region_features.to(dtype)))
        locations = self.location_norm(self.location_embeddings(region_locations.to(dtype)))
        return self.dropout(self.norm(features + locations + region_type))

    def _check_width(self, name: str, found: Tensor, key: str) -> None:
        if found.shape[-1] != getattr(self.config, key):
            raise UserError(
                f"{name}: found {found.shape[-1]} numbers a region, expected the model's {key}, "
                f"{getattr(self.config, key)}"
            )


class TransformerLayer(nn.Module):
    """Self-attention and feed-forward block, each followed by its normalisation (post-norm)."""

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
        """(N, L, H) and an additive mask (N, 1, 1, L) -> (N, L, H), or (N, len(rows), H) for some rows of L only."""
        query, key, value = self.query_key_value(hidden).unflatten(-1, (3, self.heads, -1)).transpose(1, 3).unbind(2)
        if rows is not None:
            hidden, query = hidden[:, rows], query[:, :, rows]
        dropout = self.attention_dropout if self.training else 0.0
        context = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
        attended = self.attention_output(context.transpose(1, 2).flatten(2))
        hidden = self.attention_norm(hidden + self.dropout(attended))
        return self.output_norm(hidden + self.dropout(self.output(F.gelu(self.intermediate(hidden)))))


class UniterPreTrainedModel(PreTrainedModel):
    """Weights drawn as in BERT: normal(0, initializer_range), biases 0, normalisations 1, the padding word 0."""

    config_class = UniterConfig
    config: UniterConfig
    base_model_prefix = "encoder"
    supports_token_id_remapping = True  # see EmbeddingSubset: masks and positions are made from the attention mask
    supports_gradient_checkpointing = True
    _no_split_modules = ["TransformerLayer"]


class UniterEncoder(UniterPreTrainedModel):
    """One transformer that reads a text, an image's regions, or both.

    Gradient checkpointing recomputes each layer in the backward pass (activation_checkpointing_enable).
    """

    def __init__(self, config: UniterConfig) -> None:
        super().__init__(config)
        self.gradient_checkpointing = False
        self.text_embeddings = TextEmbeddings(config)
        self.region_embeddings = RegionEmbeddings(config)
        self.layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.num_hidden_layers))
        self.text_pooler = nn.Linear(config.hidden_size, config.pooler_size)
        if config.fusion == "mul":
            self.region_pooler = nn.Linear(config.hidden_size, config.pooler_size)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.text_embeddings.word_embeddings

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        region_features: Tensor | None = None,
        region_locations: Tensor | None = None,
        region_mask: Tensor | None = None,
        last_layer: LastLayer = "all",
        text_embedded: Tensor | None = None,
        regions_embedded: Tensor | None = None,
    ) -> EncoderOutput:
        """Encode [text; regions]; leave out `input_ids` or `region_features` for a pass over the other alone.

        input_ids (N, T) int64, attention_mask (N, T) int64 (1 = token; default: ids other than padding),
        region_features (N, R, D) float, region_locations (N, R, 5 or 7) float, region_mask (N, R) int64 (default: all
        1). last_layer: 'all'; 'pooled': no hidden states, and of the last layer only what the pooled vectors take;
        'text': text_pooled alone. text_embedded (N, T, H) and regions_embedded (N, R, H), as `embed` gives them, stand
        for the ids and for the features with their locations; their masks go with them.

        Raises:
            ValueError: neither text nor regions, or features without locations.
            UserError: texts that are too long, or regions of another width than the model's.
        """
        if input_ids is not None:
            if attention_mask is None:
                attention_mask = input_ids.ne(self.config.pad_token_id).long()
            text_embedded = self.text_embeddings(input_ids, attention_mask)
        if region_features is not None:
            if region_locations is None:
                raise ValueError("region_locations is None; expected one location for each row of region_features")
            if region_mask is None:
                region_mask = torch.ones_like(region_features[..., 0], dtype=torch.long)
            regions_embedded = self.embed_regions(region_features, region_locations)
        present = [
            (part, mask)
            for part, mask in ((text_embedded, attention_mask), (regions_embedded, region_mask))
            if part is not None
        ]
        if not present:
            raise ValueError("input_ids and region_features are both None; expected at least one of them")
        text_length = 0 if text_embedded is None else text_embedded.shape[1]
        rows = self._rows(last_layer, text_length, regions_embedded is not None)
        hidden = self.encode(*(torch.cat(parts, 1) for parts in zip(*present)), rows)
        text, regions = hidden.tensor_split([text_length if rows is None else min(text_length, 1)], 1)
        has_regions = regions_embedded is not None and last_layer != "text"
        return EncoderOutput(
            text_hidden=text if text_length and last_layer == "all" else None,
            region_hidden=regions if has_regions and last_layer == "all" else None,
            text_pooled=F.relu(self.text_pooler(text[:, 0])) if text_length else None,
            region_pooled=self._pool_regions(regions, region_mask) if has_regions else None,
        )

    def embed_regions(self, region_features: Tensor, region_locations: Tensor) -> Tensor:
        """(N, R, D) features and (N, R, 5 or 7) locations -> (N, R, H), what the layers read of them."""
        return self.region_embeddings(region_features, region_locations, self._region_type())

    def encode(self, hidden: Tensor, mask: Tensor, rows: slice | None = None) -> Tensor:
        """Run the layers on embeddings (N, L, H) under a mask (N, L) of 0 and 1; the last one at `rows` of L only."""
        additive = torch.zeros(mask.shape, device=mask.device, dtype=attention_dtype(hidden))
        additive = additive.masked_fill_(mask == 0, MASKED_SCORE)[:, None, None]
        for layer in self.layers[:-1]:
            hidden = self._run(layer, hidden, additive)
        return self._run(self.layers[-1], hidden, additive, rows)

    def _run(self, layer: TransformerLayer, *inputs: Tensor | slice | None) -> Tensor:
        if not (self.gradient_checkpointing and self.training):
            return layer(*inputs)
        # What the layer has now: a meta-step's parameters and attention kernel are gone when backward recomputes it.
        parameters = dict(layer.named_parameters())
        backends = [backend for backend, is_enabled in ATTENTION_BACKENDS.items() if is_enabled()]
        return self._gradient_checkpointing_func(run_layer, layer, parameters, backends, inputs)

    def _rows(self, last_layer: LastLayer, text_length: int, has_regions: bool) -> slice | None:
        """The places of the sequence that the last layer is computed at; None: all."""
        if last_layer == "all" or (last_layer == "pooled" and has_regions and self.config.fusion == "text"):
            return None
        if last_layer == "text" or not has_regions:
            return slice(0, 1)
        return slice(0, text_length + 1, text_length or 1)  # the first token and, one text further, the first region

    def _region_type(self) -> Tensor:
        if self.config.shared_type_embeddings:
            return self.text_embeddings.token_type_embeddings.weight[1]
        return self.region_embeddings.region_type_embeddings.weight[0]

    def _pool_regions(self, regions: Tensor, mask: Tensor) -> Tensor:
        if self.config.fusion == "mul":
            return F.relu(self.region_pooler(regions[:, 0]))
        weights = mask.to(regions.dtype).unsqueeze(-1)
        return (regions * weights).sum(1) / weights.sum(1).clamp(min=1)


def attention_dtype(hidden: Tensor) -> torch.dtype:
    """Of queries, keys and mask: the hidden states', or what autocast computes in."""
    device = hidden.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype


def run_layer(
    layer: TransformerLayer,
    parameters: dict[str, Tensor],
    backends: list[SDPBackend],
    inputs: tuple[Tensor | slice | None, ...],
) -> Tensor:
    """The layer on these inputs, by these parameters and under one of these attention kernels."""
    with sdpa_kernel(backends):
        return functional_call(layer, parameters, inputs)
