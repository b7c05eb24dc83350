"""The plugin that loads the dual encoder of a recipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import (
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    VisionTextDualEncoderConfig,
)

from iglue_plugins.data.processors.image_processor import load_image_processor
from iglue_plugins.data.processors.pixel_values import process_pictures
from iglue_plugins.data.processors.pixels import PixelProcessor
from iglue_plugins.models.builtin import DualEncoderSpec
from iglue_plugins.models.checkpoints import LOADING_ERRORS
from iglue_plugins.models.dual_encoder import encoders
from iglue_plugins.models.dual_encoder.configuration import DualEncoderConfig
from iglue_plugins.models.dual_encoder.loading import head_settings, load_saved, load_tokenizer, update_head
from iglue_plugins.models.dual_encoder.model import DualEncoder
from iglue_plugins.models.dual_encoder.region_encoder import MODEL_TYPE
from iglue_plugins.models.dual_encoder.settings import DualEncoderSettings
from iglue_plugins.utils.errors import UserError, first_line

SIGLIP = ("siglip", "siglip2")  # trained on texts in small letters, padded to the last position without a mask
POSITIONS = ("position_embedding", "position_embeddings")  # names of a text tower's table
PROBE_SIZE = (64, 48)  # of the picture by which processor and towers are tried


class DualEncoderPlugin(DualEncoderSpec):
    """A dual encoder from a checkpoint, from a text and a vision encoder, or from a run.

    Args:
        settings: The model's settings in the recipe.
    """

    def __init__(self, settings: DualEncoderSettings) -> None:
        self.settings = settings

    def load(self) -> tuple[DualEncoder, PixelProcessor]:
        """Load the model and its processor.

        Returns:
            The model in float32 and evaluation mode, and its processor.

        Raises:
            UserError: A checkpoint is missing, damaged or no dual encoder, or its tokenizer or image processor is, or
                does not fit the model.
        """
        config, is_saved = self._load_config()
        tokenizer, image_processor = self._load_tokenizer(config), self._load_image_processor()
        model = (
            load_saved(str(self.settings.checkpoint), self.settings.revision, config)
            if is_saved
            else DualEncoder(config, self._load_encoder(config))
        )
        text_config, is_siglip = config.encoder.text_config, config.encoder.model_type in SIGLIP
        processor = PixelProcessor(
            tokenizer,
            image_processor,
            max_text_length=self._text_capacity(model, tokenizer),
            padded_length=text_config.max_position_embeddings if is_siglip else None,
            lowercase=is_siglip,
        )
        self._check_fit(model.eval(), processor)
        if self.settings.gradient_checkpointing:
            model.activation_checkpointing_enable()
        return model, processor

    def check(self) -> None:
        """Check what `load` needs, without loading weights.

        Raises:
            UserError: As `load`, except for what only the weights tell.
        """
        config, _ = self._load_config()
        self._load_tokenizer(config)
        self._load_image_processor()

    def _load_config(self) -> tuple[DualEncoderConfig, bool]:
        """Load the configuration, and tell whether it is one of this package's saved models."""
        settings = self.settings
        if settings.checkpoint is None:
            fresh = settings.config and encoders.fresh_config(settings.config)
            return self._new_config(fresh or self._combined_config()), False
        stored = encoders.load_config("checkpoint", settings.checkpoint, settings.revision)
        if not isinstance(stored, DualEncoderConfig):
            encoders.check_is_dual_encoder(stored, settings.checkpoint)
            return self._new_config(stored), False
        if stored.encoder.model_type == MODEL_TYPE:
            raise UserError(
                f"model.checkpoint: {settings.checkpoint!r} holds a dual encoder over region features; set model.name "
                "to region_dual_encoder"
            )
        update_head(stored, settings, settings.checkpoint)
        return stored, True

    def _combined_config(self) -> PretrainedConfig:
        settings = self.settings
        if settings.text is None or settings.vision is None:
            raise UserError(
                f"model: there is neither a checkpoint, nor text and vision, nor config; set model.checkpoint, for "
                f"example to "
                f"{encoders.EXAMPLE}"
            )
        text = encoders.load_config("text", settings.text, settings.text_revision)
        vision = encoders.load_config("vision", settings.vision, settings.vision_revision)
        return encoders.combined_config(text, vision, settings.projection_size)

    def _new_config(self, encoder: PretrainedConfig) -> DualEncoderConfig:
        return DualEncoderConfig(encoder_config=encoder, **head_settings(self.settings))

    def _load_encoder(self, config: DualEncoderConfig) -> PreTrainedModel:
        settings = self.settings
        if settings.checkpoint is not None:
            return encoders.load_encoder(settings.checkpoint, settings.revision, config.encoder)
        if settings.config is not None:
            return encoders.fresh_encoder(config.encoder)
        combined = cast("VisionTextDualEncoderConfig", config.encoder)
        return encoders.combine(combined, self._source("text")[1:], self._source("vision")[1:])

    def _source(self, key: Literal["text", "vision"]) -> tuple[str, str, str | None]:
        """Return the setting, the folder or hub id and the revision of a tower's processor."""
        settings = self.settings
        if settings.processor is not None:
            return "processor", settings.processor, None
        if settings.checkpoint is not None:
            return "checkpoint", settings.checkpoint, settings.revision
        source, revision = getattr(settings, key), getattr(settings, f"{key}_revision")
        return key, source, revision

    def _load_tokenizer(self, config: DualEncoderConfig) -> PreTrainedTokenizerBase:
        return load_tokenizer(*self._source("text"), config)

    def _load_image_processor(self) -> Any:
        key, source, revision = self._source("vision")
        try:
            return load_image_processor(source, revision)
        except UserError as error:
            raise UserError(f"model.{key}: {error}") from error

    def _text_capacity(self, model: DualEncoder, tokenizer: PreTrainedTokenizerBase) -> int | None:
        """Return the number of tokens that the text tower has positions for; None where it does not say."""
        tower = model.encoder.text_model
        for name, module in tower.named_modules():
            if isinstance(module, nn.Embedding) and name.rpartition(".")[2] in POSITIONS:
                if module.padding_idx not in (None, tokenizer.pad_token_id):
                    key, source, _ = self._source("text")
                    raise UserError(
                        f"model.{key}: the tokenizer in {source!r} pads with the id {tokenizer.pad_token_id}, but the "
                        f"model with {module.padding_idx}; use the tokenizer that the model was trained with"
                    )
                return module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
        capacity: int | None = getattr(model.config.encoder.text_config, "max_position_embeddings", None)
        return capacity

    def _check_fit(self, model: DualEncoder, processor: PixelProcessor) -> None:
        """Embed a text and a gray picture, which the towers do only if the processor is theirs."""
        text = processor.prepare_texts(["a"], processor.tokenizer.model_max_length).inputs(np.zeros(1, dtype=int))
        picture: dict[str, Any] = process_pictures(
            processor.image_processor, [Image.new("RGB", PROBE_SIZE, "gray")], ["a gray one"]
        )
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in picture.items())
        embed_text, embed_image = (lambda: model.embed_text(**text)), (lambda: model.embed_image(**picture))
        sizes = [
            self._embedded_size("text", "tokenizer", embed_text, f"ids of shape {tuple(text['input_ids'].shape)}"),
            self._embedded_size("vision", "image processor", embed_image, shapes),
        ]
        if sizes[0] != sizes[1]:
            raise UserError(
                f"model.{self._source('text')[0]}: texts are embedded in {sizes[0]} numbers and images in {sizes[1]}; "
                "give a model whose towers have a common space"
            )

    def _embedded_size(
        self, key: Literal["text", "vision"], part: str, embed: Callable[[], Tensor], inputs: str
    ) -> int:
        try:
            with torch.no_grad():
                return embed().shape[-1]
        except (*LOADING_ERRORS, IndexError) as error:
            setting, source, _ = self._source(key)
            raise UserError(
                f"model.{setting}: the {key} tower in {source!r} cannot embed what its {part} makes, {inputs} "
                f"({first_line(error)}); use the {part} that the model was trained with"
            ) from error
