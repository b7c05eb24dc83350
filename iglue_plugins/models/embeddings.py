"""Embeddings of the tokens and of the regions.

Source: VOLTA in its IGLUE version (github.com/e-bug/iglue, volta/volta/embeddings.py).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iglue_plugins.models.configuration import UniterConfig
from iglue_plugins.models.context import Context
from iglue_plugins.utils.errors import UserError

CONTEXT_WEIGHT = "encoder.text_embeddings.context.weight"  # its name in a UniterForVisionAndLanguage


class TextEmbeddings(nn.Module):
    """Word, position and type embeddings of the tokens, which a context may shift.

    Args:
        config: The model's configuration.

    Attributes:
        context: The context; None where the model has none.
    """

    def __init__(self, config: UniterConfig) -> None:
        super().__init__()
        self.config = config
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.context = Context(config.context_size, config.hidden_size) if config.context_size else None
        self.norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Embed texts.

        Args:
            input_ids: (N, T) int64 token ids.
            attention_mask: (N, T) int64; 1 = token, 0 = padding.

        Returns:
            Embeddings (N, T, H).

        Raises:
            UserError: The texts are longer than the model has positions for.
        """
        if input_ids.shape[1] > self.config.text_capacity:
            raise UserError(
                f"input_ids: the texts have {input_ids.shape[1]} tokens, but the model's max_position_embeddings of "
                f"{self.config.max_position_embeddings} leaves room for {self.config.text_capacity}; truncate the texts"
            )
        # self.word_embeddings(input_ids) would drop the gradient of row pad_token_id, which is another token's row if
        # the ids are remapped to a smaller matrix.
        words = F.embedding(input_ids, self.word_embeddings.weight)
        if self.context is not None:
            words = self.context(words)
        words = words + self.position_embeddings(self.position_ids(attention_mask))
        return self.dropout(self.norm(words + self.token_type_embeddings.weight[0]))

    def position_ids(self, attention_mask: Tensor) -> Tensor:
        """Number the tokens by the attention mask alone, since the token ids may be remapped to a smaller matrix.

        Args:
            attention_mask: (N, T) int64; 1 = token, 0 = padding.

        Returns:
            Rows of the position embeddings, (N, T) or (1, T) int64.
        """
        if self.config.position_ids == "bert":
            return torch.arange(attention_mask.shape[1], device=attention_mask.device)[None]
        return attention_mask.cumsum(1) * attention_mask + self.config.pad_token_id


class RegionEmbeddings(nn.Module):
    """Feature, location and type embeddings of the regions.

    Args:
        config: The model's configuration.
    """

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
        """Embed regions.

        Args:
            region_features: (N, R, D) float.
            region_locations: (N, R, 5 or 7) float, shares of the image.
            region_type: (H,) float, the type embedding of regions.

        Returns:
            Embeddings (N, R, H).

        Raises:
            UserError: Features or locations have another width than the model's.
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
                f"{name}: a region has {found.shape[-1]} numbers, but the model's {key} is "
                f"{getattr(self.config, key)}; use region features of the kind that the model was trained on"
            )
