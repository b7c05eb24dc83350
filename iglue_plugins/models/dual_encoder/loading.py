"""What every plugin of dual encoders loads: saved models, tokenizers that fit, and the settings of heads."""

from __future__ import annotations

from typing import Any, cast

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from iglue_plugins.models.checkpoints import LOADING_ERRORS, check_weights
from iglue_plugins.models.dual_encoder import encoders
from iglue_plugins.models.dual_encoder.configuration import DualEncoderConfig
from iglue_plugins.models.dual_encoder.model import DualEncoder
from iglue_plugins.models.dual_encoder.settings import FusionSettings
from iglue_plugins.utils.errors import UserError, first_line

ENDS_POOLED = ("clip", "metaclip_2")  # take a text's vector from the place of the token that ends it
HEAD_SETTINGS = ("fusion", "fusion_layers", "dropout")


def head_settings(settings: FusionSettings) -> dict[str, Any]:
    """Return what settings say of the task head, without what they leave open."""
    values = {key: getattr(settings, key) for key in HEAD_SETTINGS}
    return {key: value for key, value in values.items() if value is not None}


def update_head(config: DualEncoderConfig, settings: FusionSettings, source: str) -> None:
    """Set what settings say of the task head in the configuration of a saved model.

    Args:
        config: The configuration, which is changed in place.
        settings: The settings.
        source: Where the model is saved, for the error.

    Raises:
        UserError: The saved model has a head of another kind.
    """
    for key, value in head_settings(settings).items():
        if key != "dropout" and config.head is not None and value != getattr(config, key):
            raise UserError(
                f"model.{key}: is {value!r}, but the head in {source!r} has {getattr(config, key)!r}; leave it out, or "
                "start from a model without a head"
            )
        setattr(config, key, value)


def load_saved(source: str, revision: str | None, config: DualEncoderConfig) -> DualEncoder:
    """Load a dual encoder that this package has saved.

    Args:
        source: A local folder or hub id.
        revision: The hub revision.
        config: Its configuration.

    Returns:
        The model in float32.

    Raises:
        UserError: The weights are missing or damaged, or do not fit the configuration.
    """
    try:
        loaded = DualEncoder.from_pretrained(
            source, revision=revision or "main", config=config, **encoders.WEIGHT_OPTIONS
        )
    except LOADING_ERRORS as error:
        raise UserError(
            f"model.checkpoint: no dual encoder can be loaded from {source!r} ({first_line(error)}); give a folder "
            "that holds model.safetensors, or a hub id"
        ) from error
    # transformers does not say in its types that this option returns a pair.
    model, loading_info = cast("tuple[DualEncoder, dict[str, Any]]", loaded)
    check_weights(source, loading_info)
    return model


def load_tokenizer(key: str, source: str, revision: str | None, config: DualEncoderConfig) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a dual encoder.

    Args:
        key: The setting that names it, for errors.
        source: A local folder or hub id.
        revision: The hub revision.
        config: The model's configuration.

    Returns:
        The tokenizer.

    Raises:
        UserError: There is none, or it has no words or no padding, or is that of another model.
    """
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            source, revision=revision or "main", trust_remote_code=False
        )
    except LOADING_ERRORS as error:
        raise UserError(
            f"model.{key}: no tokenizer can be loaded from {source!r} ({first_line(error)}); give a folder that "
            "holds tokenizer.json beside the model, or a hub id"
        ) from error
    encoder = config.encoder
    rows = encoder.text_config.vocab_size
    if len(tokenizer) > rows:
        raise UserError(
            f"model.{key}: the tokenizer in {source!r} has {len(tokenizer)} ids, but the model {rows}; use the "
            "tokenizer that the model was trained with"
        )
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # what transformers makes of a folder without a vocabulary
        raise UserError(
            f"model.{key}: the tokenizer in {source!r} has no words, since its files are missing; give a folder "
            "that holds tokenizer.json beside the model, or a hub id"
        )
    if tokenizer.pad_token_id is None:
        raise UserError(
            f"model.{key}: the tokenizer in {source!r} has no padding token; set pad_token in its tokenizer_config.json"
        )
    end = encoder.text_config.eos_token_id
    # A CLIP whose configuration says 2, which is wrong, takes the largest id instead.
    if encoder.model_type in ENDS_POOLED and end not in (tokenizer.eos_token_id, 2):
        raise UserError(
            f"model.{key}: the tokenizer in {source!r} ends texts with the id {tokenizer.eos_token_id}, but the "
            f"model looks for {end}; use the tokenizer that the model was trained with"
        )
    return tokenizer
