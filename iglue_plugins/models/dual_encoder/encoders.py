"""Dual encoders of transformers, from a checkpoint or from a text and a vision encoder."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    PretrainedConfig,
    PreTrainedModel,
    VisionTextDualEncoderConfig,
    VisionTextDualEncoderModel,
)
from transformers.models.auto.modeling_auto import MODEL_MAPPING

from iglue_plugins.models.checkpoints import LOADING_ERRORS, check_weights
from iglue_plugins.utils.errors import UserError, first_line
from iglue_plugins.utils.model_sources import is_missing_folder

EXAMPLE = "google/siglip2-base-patch16-224"
WEIGHT_OPTIONS: dict[str, Any] = {
    "use_safetensors": True,
    "trust_remote_code": False,
    "output_loading_info": True,
    "ignore_mismatched_sizes": True,
    "dtype": torch.float32,
}


def load_config(key: str, source: str, revision: str | None) -> PretrainedConfig:
    """Load the configuration of a model.

    Args:
        key: The setting that names the model, for the error.
        source: A local folder or hub id.
        revision: The hub revision.

    Returns:
        The configuration.

    Raises:
        UserError: There is no folder, or no configuration in it.
    """
    if is_missing_folder(source):
        raise UserError(f"model.{key}: there is no folder '{source}'; give a folder with a saved model, or a hub id")
    try:
        return AutoConfig.from_pretrained(source, revision=revision or "main", trust_remote_code=False)
    except LOADING_ERRORS as error:
        raise UserError(
            f"model.{key}: no model can be loaded from {source!r} ({first_line(error)}); give a folder that holds "
            "config.json and model.safetensors, or a hub id"
        ) from error


def check_is_dual_encoder(config: PretrainedConfig, source: str) -> None:
    """Check that a configuration is that of a dual encoder.

    Args:
        config: The configuration.
        source: Where it comes from, for the error.

    Raises:
        UserError: Its model has no towers for text and image.
    """
    cls = MODEL_MAPPING.get(type(config), None)
    if not all(hasattr(cls, name) for name in ("get_text_features", "get_image_features")):
        raise UserError(
            f"model.checkpoint: {source!r} holds a model of type {config.model_type!r}, which has no towers that embed "
            f"texts and images; give a dual encoder, such as {EXAMPLE}, or make one of two models by text and vision"
        )


def load_encoder(source: str, revision: str | None, config: PretrainedConfig) -> PreTrainedModel:
    """Load a dual encoder.

    Args:
        source: A local folder or hub id.
        revision: The hub revision.
        config: Its configuration.

    Returns:
        The dual encoder in float32.

    Raises:
        UserError: The weights are missing or damaged, or do not fit the configuration, or there is no scale.
    """
    model = _load_weights("checkpoint", source, revision, config)
    if not isinstance(getattr(model, "logit_scale", None), nn.Parameter):
        raise UserError(
            f"model.checkpoint: the {type(model).__name__} in {source!r} has no logit_scale to compare texts with "
            f"images; give a dual encoder that has one, such as {EXAMPLE}"
        )
    return model


def fresh_config(fields: dict[str, Any]) -> PretrainedConfig:
    """Make the configuration of a dual encoder from a recipe.

    Args:
        fields: `model_type` and the fields of its configuration in transformers.

    Returns:
        The configuration.

    Raises:
        UserError: There is no such type, it is no dual encoder, or a field has a value that does not fit.
    """
    model_type = fields.get("model_type")
    rest = {name: value for name, value in fields.items() if name != "model_type"}
    try:
        config = AutoConfig.for_model(str(model_type), **rest)
    except LOADING_ERRORS as error:
        raise UserError(
            f"model.config: model_type {model_type!r} with these fields is no model of transformers "
            f"({first_line(error)}); give model_type siglip, clip or another dual encoder's, and its fields"
        ) from error
    check_is_dual_encoder(config, "model.config")
    return config


@torch.no_grad()
def fresh_encoder(config: PretrainedConfig) -> PreTrainedModel:
    """Make a dual encoder with fresh weights.

    The scale and bias of a SigLIP begin at 10 and -10, so that at first all pairs are told to be no pair, as most are.

    Args:
        config: Its configuration.

    Returns:
        The dual encoder in float32.

    Source: SigLIP (Zhai et al. 2023, section 3.2).
    """
    model = AutoModel.from_config(config)
    if hasattr(model, "logit_bias"):
        model.logit_scale.fill_(math.log(10))
        model.logit_bias.fill_(-10)
    return model


def combined_config(
    text: PretrainedConfig, vision: PretrainedConfig, projection_size: int
) -> VisionTextDualEncoderConfig:
    """Make the configuration of a dual encoder of two towers.

    Args:
        text: The configuration of the text encoder, or of a model that has one.
        vision: The configuration of the vision encoder, or of a model that has one.
        projection_size: Width of the common space.

    Returns:
        The configuration.

    Raises:
        UserError: One of the two has no width of hidden states, and cannot be a tower.
    """
    text, vision = getattr(text, "text_config", text), getattr(vision, "vision_config", vision)
    for key, config in (("text", text), ("vision", vision)):
        if not isinstance(getattr(config, "hidden_size", None), int):
            raise UserError(
                f"model.{key}: a model of type {config.model_type!r} cannot be a tower, since it has no hidden_size; "
                "give another model, such as FacebookAI/xlm-roberta-base for text or facebook/dinov2-base for vision"
            )
    return VisionTextDualEncoderConfig.from_vision_text_configs(vision, text, projection_dim=projection_size)


def combine(
    config: VisionTextDualEncoderConfig, text: tuple[str, str | None], vision: tuple[str, str | None]
) -> VisionTextDualEncoderModel:
    """Make a dual encoder of a text and a vision encoder, with fresh projections.

    Args:
        config: The configuration of the dual encoder, from `combined_config`.
        text: The source and hub revision of the text encoder.
        vision: The source and hub revision of the vision encoder.

    Returns:
        The dual encoder in float32.

    Raises:
        UserError: Weights are missing or damaged, or do not fit their configuration, or the text encoder has no pooler.
    """
    parts: Any = config
    text_model = _load_weights("text", *text, parts.text_config)
    vision_model = _load_weights("vision", *vision, parts.vision_config)
    with torch.no_grad():
        output = text_model.eval()(input_ids=torch.zeros(1, 1, dtype=torch.int64))
    if getattr(output, "pooler_output", None) is None:
        raise UserError(
            f"model.text: the {type(text_model).__name__} in {text[0]!r} makes vectors of tokens, but none of a text; "
            "give a model with a pooler, such as FacebookAI/xlm-roberta-base"
        )
    return VisionTextDualEncoderModel(config, text_model=text_model, vision_model=vision_model)


def load_text_tower(source: str, revision: str | None, config: PretrainedConfig) -> PreTrainedModel:
    """Load a text encoder of BERT's or RoBERTa's architecture without its pooler.

    Args:
        source: A local folder or hub id.
        revision: The hub revision.
        config: Its configuration, perhaps with fewer layers than are stored, of which the first are taken.

    Returns:
        The text encoder in float32.

    Raises:
        UserError: Weights are missing or damaged, or do not fit the configuration.
    """
    return _load_weights("text", source, revision, config, add_pooling_layer=False)


def _load_weights(
    key: str, source: str, revision: str | None, config: PretrainedConfig, **options: Any
) -> PreTrainedModel:
    try:
        loaded = AutoModel.from_pretrained(
            source, revision=revision or "main", config=config, **WEIGHT_OPTIONS, **options
        )
    except LOADING_ERRORS as error:
        raise UserError(
            f"model.{key}: no {config.model_type} weights can be loaded from {source!r} ({first_line(error)}); give a "
            "folder that holds model.safetensors, or a hub id"
        ) from error
    model, info = cast("tuple[PreTrainedModel, dict[str, Any]]", loaded)
    # A tower may come from a model with more parts, such as a head for masked words, and without a pooler.
    is_whole = key == "checkpoint"
    check_weights(source, info, () if is_whole else ("pooler.",), is_complete=is_whole)
    return model
