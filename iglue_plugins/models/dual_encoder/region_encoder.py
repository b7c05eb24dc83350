"""A text encoder and a tower over region features, as a dual encoder of the form that transformers' have."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.configuration_utils import SubConfigSpec
from transformers.modeling_outputs import BaseModelOutputWithPooling
from typing_extensions import override

from iglue_plugins.utils.errors import UserError

MODEL_TYPE = "region_text"
TEXT_MODELS = ("bert", "roberta", "xlm-roberta")
FIRST_TEMPERATURE = 0.07


class RegionTowerConfig(PretrainedConfig):
    """Sizes of a tower over region features.

    Attributes:
        feature_size: Width of a region's feature vector.
        location_size: Numbers of a region's location, shares of the image.
        hidden_size: Width of the hidden states.
        num_hidden_layers: Transformer layers over the regions.
        num_attention_heads: Attention heads of a layer.
        dropout: Dropout of embeddings and layers.
        layer_norm_eps: Epsilon of layer normalizations.
    """

    model_type = "region_tower"

    feature_size: int = 2048
    location_size: int = 5
    hidden_size: int = 256
    num_hidden_layers: int = 1
    num_attention_heads: int = 4
    dropout: float = 0.1
    layer_norm_eps: float = 1e-6


class RegionTextConfig(PretrainedConfig):
    """Design of a dual encoder over texts and region features.

    Attributes:
        text_config: The configuration of the text encoder.
        vision_config: That of the tower over regions.
        projection_dim: Width of the common space.
        text_pooling: A text's vector: "mean" over its tokens, or the state of the "first" one.
        text_prefix: What the processor puts before each text.
    """

    model_type = MODEL_TYPE
    sub_configs_defaults: ClassVar[dict[str, Any]] = {
        "text_config": SubConfigSpec(AutoConfig, model_type="bert"),
        "vision_config": RegionTowerConfig,
    }

    text_config: PretrainedConfig | dict[str, Any] | None = None
    vision_config: PretrainedConfig | dict[str, Any] | None = None
    projection_dim: int = 256
    text_pooling: str = "mean"
    text_prefix: str = ""


class RegionTower(nn.Module):
    """Embeds an image's regions, lets them see each other, and takes their mean.

    Args:
        config: The tower's configuration.
    """

    def __init__(self, config: RegionTowerConfig) -> None:
        super().__init__()
        size, eps = config.hidden_size, config.layer_norm_eps
        self.config = config
        self.features = nn.Linear(config.feature_size, size)
        self.locations = nn.Linear(config.location_size, size)
        self.norm = nn.LayerNorm(size, eps)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                size,
                config.num_attention_heads,
                4 * size,
                config.dropout,
                "gelu",
                eps,
                batch_first=True,
                norm_first=True,
            )
            for _ in range(config.num_hidden_layers)
        )
        self.last_norm = nn.LayerNorm(size, eps)

    def forward(self, region_features: Tensor, region_locations: Tensor, region_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Encode images.

        Args:
            region_features: (D, R, size) float.
            region_locations: (D, R, 5 or 7) float, shares of the image.
            region_mask: (D, R) int64; 1 = region, 0 = padding.

        Returns:
            The regions' hidden states (D, R, H), and their means (D, H).

        Raises:
            UserError: Features or locations have another width than the model's.
        """
        for name, found, width in (
            ("feature_size", region_features, self.config.feature_size),
            ("location_size", region_locations, self.config.location_size),
        ):
            if found.shape[-1] != width:
                raise UserError(
                    f"model.regions.{name}: it is {width} in the model, but the task's regions have {found.shape[-1]}; "
                    "use region features of the kind that the model was trained on"
                )
        dtype = self.features.weight.dtype
        hidden = self.features(region_features.to(dtype)) + self.locations(region_locations.to(dtype))
        hidden = self.dropout(self.norm(hidden))
        padding = region_mask == 0 if (region_mask == 0).any() else None
        for layer in self.layers:
            hidden = layer(hidden, src_key_padding_mask=padding)
        hidden = self.last_norm(hidden)
        return hidden, masked_mean(hidden, region_mask)


class RegionTextEncoder(PreTrainedModel):
    """A text encoder and a `RegionTower`, with linear projections to a common space and a trained scale of cosines.

    Args:
        config: The configuration.
        text_model: The text encoder; default: one with fresh weights.
    """

    config: RegionTextConfig
    config_class = RegionTextConfig
    base_model_prefix = "region_text"
    main_input_name = "input_ids"
    input_modalities = ["image", "text"]
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_attention_backend = True

    def __init__(self, config: RegionTextConfig, text_model: PreTrainedModel | None = None) -> None:
        super().__init__(config)
        parts: Any = config
        self.text_model: Any = text_model or AutoModel.from_config(parts.text_config, add_pooling_layer=False)
        self.vision_model = RegionTower(parts.vision_config)
        self.text_projection = nn.Linear(parts.text_config.hidden_size, config.projection_dim, bias=False)
        self.visual_projection = nn.Linear(parts.vision_config.hidden_size, config.projection_dim, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(-math.log(FIRST_TEMPERATURE)))
        self.post_init()

    @torch.no_grad()
    @override
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, RegionTextEncoder):
            init.constant_(module.logit_scale, -math.log(FIRST_TEMPERATURE))

    @override
    def get_input_embeddings(self) -> nn.Module:
        return self.text_model.get_input_embeddings()

    @override
    def set_input_embeddings(self, value: nn.Module) -> None:
        self.text_model.set_input_embeddings(value)

    def get_text_features(self, input_ids: Tensor, attention_mask: Tensor) -> BaseModelOutputWithPooling:
        """Encode texts.

        Args:
            input_ids: (D, T) int64 token ids.
            attention_mask: (D, T) int64; 1 = token, 0 = padding.

        Returns:
            The tokens' hidden states (D, T, width), and as `pooler_output` the projected texts (D, projection_dim).
        """
        hidden = self.text_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        pooled = masked_mean(hidden, attention_mask) if self.config.text_pooling == "mean" else hidden[:, 0]
        return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=self.text_projection(pooled))

    def get_image_features(
        self, region_features: Tensor, region_locations: Tensor, region_mask: Tensor
    ) -> BaseModelOutputWithPooling:
        """Encode images; see `RegionTower.forward`.

        Returns:
            The regions' hidden states, and as `pooler_output` the projected images (D, projection_dim).
        """
        hidden, pooled = self.vision_model(region_features, region_locations, region_mask)
        return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=self.visual_projection(pooled))


def masked_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Average hidden states over the places that a mask has.

    Args:
        hidden: (D, L, H) float.
        mask: (D, L); 1 = counts.

    Returns:
        (D, H) float.
    """
    weights = mask.to(hidden.dtype).unsqueeze(-1)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)


AutoConfig.register(RegionTowerConfig.model_type, RegionTowerConfig)
AutoConfig.register(RegionTextConfig.model_type, RegionTextConfig)
AutoModel.register(RegionTextConfig, RegionTextEncoder)
