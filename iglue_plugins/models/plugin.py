"""The registry's plugin for xUNITER."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from iglue_plugins.errors import UserError, nearest
from iglue_plugins.models.configuration import XUniterConfig
from iglue_plugins.models.xuniter import XUniterForVisionAndLanguage
from iglue_plugins.registry import models

CONFIGURABLE = {field.name for field in dataclasses.fields(XUniterConfig)} | {"num_labels"}


@models.register("xuniter")
class XUniter:
    """xUNITER from a checkpoint, or freshly initialised. A subclass may give `checkpoint` another default."""

    class Settings(BaseModel):
        """Where the model comes from.

        checkpoint: local folder or Hugging Face hub id; without one the model is freshly initialised.
        revision: the hub revision of the checkpoint.
        config: sizes and probabilities of XUniterConfig to set instead of the checkpoint's or the defaults.
        tokenizer: local folder or hub id; default: the checkpoint's own.
        """

        model_config = ConfigDict(extra="forbid")

        checkpoint: str | None = None
        revision: str | None = None
        config: dict[str, Any] = {}
        tokenizer: str | None = None

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def _check_folder(self) -> None:
        """Something that looks like a path is never asked for on the hub."""
        for key in ("checkpoint", "tokenizer"):
            source = getattr(self.settings, key)
            if source and (source.startswith((".", "/", "~")) or source.count("/") > 1) and not Path(source).is_dir():
                raise UserError(f"model.{key}: found no folder '{source}', expected one with a saved model, or a "
                                "hub id")

    def load(self) -> tuple[XUniterForVisionAndLanguage, PreTrainedTokenizerBase]:
        """The model, in evaluation mode, and its tokeniser.

        Raises:
            UserError: a checkpoint or tokeniser that is not there, a configuration key that does not exist or fit, or
                a tokeniser with more words than the model.
        """
        self._check_folder()
        tokenizer, model = self._load_tokenizer(), self._load_model()
        if len(tokenizer) > model.config.vocab_size:
            raise UserError(
                f"the tokeniser has {len(tokenizer)} words; expected at most the model's vocab_size, "
                f"{model.config.vocab_size}"
            )
        return model, tokenizer

    def _load_tokenizer(self) -> PreTrainedTokenizerBase:
        source, revision = self.settings.tokenizer, None
        if source is None:
            source, revision = self.settings.checkpoint, self.settings.revision
        if source is None:
            raise UserError("the model has neither tokenizer nor checkpoint; expected a folder or hub id in either")
        try:
            return AutoTokenizer.from_pretrained(source, revision=revision)
        except (OSError, ValueError) as error:
            raise UserError(
                f"no tokeniser can be loaded from {source!r}; expected a folder that holds tokenizer.json, or a hub "
                f"id: {first_line(error)}"
            ) from error

    def _load_model(self) -> XUniterForVisionAndLanguage:
        for key in self.settings.config:
            if key not in CONFIGURABLE:
                raise UserError(f"the model's config has an unknown key {key!r}{nearest(key, CONFIGURABLE)}")
        try:
            config = self._load_config()
        except (ValueError, TypeError) as error:
            raise UserError(f"the model's config does not fit: {first_line(error)}") from error
        if self.settings.checkpoint is None:
            return XUniterForVisionAndLanguage(config).eval()
        try:
            return XUniterForVisionAndLanguage.from_pretrained(
                self.settings.checkpoint, revision=self.settings.revision, config=config, use_safetensors=True
            )
        except (OSError, RuntimeError, SafetensorError) as error:
            raise UserError(
                f"no xuniter weights that fit its configuration can be loaded from {self.settings.checkpoint!r}; "
                f"expected model.safetensors: {first_line(error)}"
            ) from error

    def _load_config(self) -> XUniterConfig:
        if self.settings.checkpoint is None:
            return XUniterConfig(**self.settings.config)
        try:
            stored, _ = XUniterConfig.get_config_dict(self.settings.checkpoint, revision=self.settings.revision)
        except OSError as error:
            raise UserError(
                f"no model can be loaded from {self.settings.checkpoint!r}; expected a folder that holds config.json "
                f"and model.safetensors, or a hub id: {first_line(error)}"
            ) from error
        if stored.get("model_type") != XUniterConfig.model_type:
            raise UserError(
                f"{self.settings.checkpoint!r} holds a model of type {stored.get('model_type')!r}; expected "
                f"{XUniterConfig.model_type!r}"
            )
        return XUniterConfig.from_dict(stored | self.settings.config)


def first_line(error: Exception) -> str:
    """What an error of a library says first."""
    return str(error).strip().partition("\n")[0]
