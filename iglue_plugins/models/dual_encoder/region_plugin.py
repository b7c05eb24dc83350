"""The plugin that loads dual encoders over region features."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerBase

from iglue_plugins.data.processors.region_pairs import RegionPairProcessor
from iglue_plugins.models.builtin import RegionDualEncoderSpec
from iglue_plugins.models.dual_encoder import encoders
from iglue_plugins.models.dual_encoder.configuration import DualEncoderConfig
from iglue_plugins.models.dual_encoder.loading import head_settings, load_saved, load_tokenizer, update_head
from iglue_plugins.models.dual_encoder.model import DualEncoder
from iglue_plugins.models.dual_encoder.region_encoder import (
    MODEL_TYPE,
    TEXT_MODELS,
    RegionTextConfig,
    RegionTextEncoder,
    RegionTowerConfig,
)
from iglue_plugins.models.dual_encoder.region_settings import RegionDualEncoderSettings
from iglue_plugins.utils.errors import UserError


class RegionDualEncoderPlugin(RegionDualEncoderSpec):
    """A dual encoder over region features, from a text encoder or from a run.

    Args:
        settings: The model's settings in the recipe.
    """

    def __init__(self, settings: RegionDualEncoderSettings) -> None:
        self.settings = settings

    def load(self) -> tuple[DualEncoder, RegionPairProcessor]:
        """Load the model and its processor.

        Returns:
            The model in float32 and evaluation mode, and its processor.

        Raises:
            UserError: The checkpoint or text encoder is missing, damaged or of another kind, or its tokenizer is.
        """
        config, settings = self._load_config(), self.settings
        tokenizer = self._load_tokenizer(config)
        if settings.checkpoint is not None:
            model = load_saved(settings.checkpoint, settings.revision, config)
        else:
            model = DualEncoder(config, self._new_encoder(config))
        parts: Any = config.encoder
        text = parts.text_config
        unused = 0 if text.model_type == "bert" else text.pad_token_id + 1  # positions begin after the padding's
        processor = RegionPairProcessor(
            tokenizer,
            location_size=parts.vision_config.location_size,
            text_prefix=parts.text_prefix,
            max_text_length=text.max_position_embeddings - unused,
        )
        if settings.gradient_checkpointing:
            model.activation_checkpointing_enable()
        return model.eval(), processor

    def check(self) -> None:
        """Check what `load` needs, without loading weights.

        Raises:
            UserError: As `load`, except for what only the weights tell.
        """
        self._load_tokenizer(self._load_config())

    def _load_tokenizer(self, config: DualEncoderConfig) -> PreTrainedTokenizerBase:
        settings = self.settings
        if settings.checkpoint is not None:
            return load_tokenizer("checkpoint", settings.checkpoint, settings.revision, config)
        return load_tokenizer("text", str(settings.text), settings.text_revision, config)

    def _load_config(self) -> DualEncoderConfig:
        settings = self.settings
        if settings.checkpoint is None:
            return DualEncoderConfig(encoder_config=self._new_config(), **head_settings(settings))
        stored = encoders.load_config("checkpoint", settings.checkpoint, settings.revision)
        if not isinstance(stored, DualEncoderConfig) or stored.encoder.model_type != MODEL_TYPE:
            raise UserError(
                f"model.checkpoint: {settings.checkpoint!r} holds a model of type {stored.model_type!r} that is no "
                "dual encoder over region features; give the folder of one that a run has saved, or make one of a text "
                "encoder by model.text"
            )
        update_head(stored, settings, settings.checkpoint)
        return stored

    def _new_config(self) -> RegionTextConfig:
        settings = self.settings
        if settings.text is None:
            raise UserError(
                "model: there is neither a checkpoint nor text; set model.text to an encoder such as "
                "intfloat/multilingual-e5-small"
            )
        text = encoders.load_config("text", settings.text, settings.text_revision)
        if text.model_type not in TEXT_MODELS:
            raise UserError(
                f"model.text: {settings.text!r} holds a model of type {text.model_type!r}; give an encoder of the "
                f"architecture {', '.join(TEXT_MODELS)}, such as multilingual E5 or XLM-R"
            )
        kept = settings.text_layers or text.num_hidden_layers
        if kept > text.num_hidden_layers:
            raise UserError(
                f"model.text_layers: it is {kept}, but the model in {settings.text!r} has {text.num_hidden_layers} "
                "layers; lower it"
            )
        text.num_hidden_layers = kept
        regions = settings.regions
        tower = RegionTowerConfig(
            feature_size=regions.feature_size,
            location_size=regions.location_size,
            hidden_size=regions.hidden_size,
            num_hidden_layers=regions.layers,
            num_attention_heads=regions.heads,
            dropout=regions.dropout,
        )
        return RegionTextConfig(
            text_config=text,
            vision_config=tower,
            projection_dim=settings.projection_size,
            text_pooling=settings.text_pooling,
            text_prefix=settings.text_prefix,
        )

    def _new_encoder(self, config: DualEncoderConfig) -> RegionTextEncoder:
        settings, parts = self.settings, config.encoder
        assert isinstance(parts, RegionTextConfig)
        text: Any = parts.text_config
        return RegionTextEncoder(parts, encoders.load_text_tower(str(settings.text), settings.text_revision, text))
