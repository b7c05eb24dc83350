"""xUNITER's single-stream encoder over [text; regions] (Bugliarello et al. 2022; e-bug/volta, ctrl_xuniter_base)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.utils import ModelOutput

from iglue_plugins.models.configuration import XUniterConfig

MASKED_SCORE = -10000.0  # VOLTA's; large enough to vanish in a softmax, small enough for float16


@dataclass
class EncoderOutput(ModelOutput):
    """What the encoder computes; the parts of an absent modality are None.

    text_hidden (N, T, H), region_hidden (N, R, H): last layer, None when `pooled_only`.
    text_pooled (N, P), region_pooled (N, P): non-negative, from the first token and from the first region.
    """

    text_hidden: Tensor | None = None
    region_hidden: Tensor | None = None
    text_pooled: Tensor | None = None
    region_pooled: Tensor | None = None


class TextEmbeddings(nn.Module):
    """Word, position and type embeddings of the tokens."""

    def __init__(self, config: XUniterConfig) -> None:
        super().__init__()
        self.pad_token_id = config.pad_token_id
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, config.embedding_layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(N, T) ids and mask -> (N, T, H). XLM-R positions: the n-th token has pad_token_id + n, padding pad_token_id.

        Positions come from the mask, so that ids may be renumbered to rows of a smaller matrix.
        """
        positions = attention_mask.cumsum(1) * attention_mask + self.pad_token_id
        # Not self.word_embeddings(input_ids), which would drop the gradient of a renumbered matrix's row pad_token_id.
        words = F.embedding(input_ids, self.word_embeddings.weight) + self.position_embeddings(positions)
        return self.dropout(self.norm(words + self.token_type_embeddings.weight[0]))


class RegionEmbeddings(nn.Module):
    """Feature, location and type embeddings of the regions."""

    def __init__(self, config: XUniterConfig) -> None:
        super().__init__()
        eps = config.embedding_layer_norm_eps
        self.image_embeddings = nn.Linear(config.region_feature_size, config.hidden_size)
        self.image_norm = nn.LayerNorm(config.hidden_size, eps)
        self.location_embeddings = nn.Linear(config.region_location_size, config.hidden_size)
        self.location_norm = nn.LayerNorm(config.hidden_size, eps)
        self.region_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, region_features: Tensor, region_locations: Tensor) -> Tensor:
        """(N, R, D) features and (N, R, 5) locations -> (N, R, H)."""
        features = self.image_norm(self.image_embeddings(region_features))
        locations = self.location_norm(self.location_embeddings(region_locations))
        return self.dropout(self.norm(features + locations + self.region_type_embeddings.weight[0]))


class TransformerLayer(GradientCheckpointingLayer):
    """Self-attention and feed-forward block, each followed by its normalisation (post-norm)."""

    def __init__(self, config: XUniterConfig) -> None:
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


class XUniterPreTrainedModel(PreTrainedModel):
    """Weights drawn as in BERT: normal(0, initializer_range), biases 0, normalisations 1, the padding word 0."""

    config_class = XUniterConfig
    base_model_prefix = "encoder"
    supports_gradient_checkpointing = True
    _no_split_modules = ["TransformerLayer"]


class XUniterModel(XUniterPreTrainedModel):
    """The encoder: one transformer that reads a text, a picture's regions, or both."""

    def __init__(self, config: XUniterConfig) -> None:
        super().__init__(config)
        self.text_embeddings = TextEmbeddings(config)
        self.region_embeddings = RegionEmbeddings(config)
        self.layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.num_hidden_layers))
        self.text_pooler = nn.Linear(config.hidden_size, config.pooler_size)
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
        pooled_only: bool = False,
    ) -> EncoderOutput:
        """Encode [text; regions]; leave out `input_ids` or `region_features` for a pass over the other alone.

        input_ids (N, T) int64, attention_mask (N, T) int64 (1 = token; default: ids other than padding),
        region_features (N, R, D) float, region_locations (N, R, 5) float, region_mask (N, R) int64 (default: all 1).
        pooled_only: compute the last layer at the two pooled positions only, and no hidden states.

        Raises:
            ValueError: neither text nor regions, or features without locations.
        """
        parts, masks = [], []
        if input_ids is not None:
            if attention_mask is None:
                attention_mask = input_ids.ne(self.config.pad_token_id).long()
            parts.append(self.text_embeddings(input_ids, attention_mask))
            masks.append(attention_mask)
        if region_features is not None:
            if region_locations is None:
                raise ValueError("region_locations is None; expected one location for each row of region_features")
            if region_mask is None:
                region_mask = torch.ones_like(region_features[..., 0], dtype=torch.long)
            parts.append(self.region_embeddings(region_features, region_locations))
            masks.append(region_mask)
        if not parts:
            raise ValueError("input_ids and region_features are both None; expected at least one of them")
        text_length = 0 if input_ids is None else input_ids.shape[1]
        # The first token and, one text further, the first region.
        rows = slice(0, text_length + 1, text_length or 1) if pooled_only else None
        hidden = self.encode(torch.cat(parts, 1), torch.cat(masks, 1), rows)
        if pooled_only:
            text_length = min(text_length, 1)
        text = None if input_ids is None else hidden[:, :text_length]
        regions = None if region_features is None else hidden[:, text_length:]
        return EncoderOutput(
            text_hidden=None if pooled_only else text,
            region_hidden=None if pooled_only else regions,
            text_pooled=None if text is None else F.relu(self.text_pooler(text[:, 0])),
            region_pooled=None if regions is None else F.relu(self.region_pooler(regions[:, 0])),
        )

    def encode(self, hidden: Tensor, mask: Tensor, rows: slice | None = None) -> Tensor:
        """Run the layers on embeddings (N, L, H) under a mask (N, L) of 0 and 1; the last one at `rows` of L only."""
        additive = ((1.0 - mask.to(hidden.dtype)) * MASKED_SCORE)[:, None, None, :]
        for layer in self.layers[:-1]:
            hidden = layer(hidden, additive)
        return self.layers[-1](hidden, additive, rows)
