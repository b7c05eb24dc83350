"""The registry's plugins: xUNITER, UC2 and mUNITER."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from transformers import PreTrainedTokenizerBase

from iglue_plugins.models.builtin import MUniterSpec, UC2Spec, XUniterSpec
from iglue_plugins.models.checkpoints import FOUND_DAMAGED, first_line
from iglue_plugins.models.configuration import UniterConfig
from iglue_plugins.models.contrastive import CONTRASTIVE
from iglue_plugins.models.settings import UniterSettings
from iglue_plugins.models.text_weights import load_text_weights, text_sizes
from iglue_plugins.models.tokenizer import check_vocabulary, load_tokenizer
from iglue_plugins.models.uniter import (
    MODELS,
    MUniterForVisionAndLanguage,
    UC2ForVisionAndLanguage,
    UniterForVisionAndLanguage,
    XUniterForVisionAndLanguage,
)
from iglue_plugins.models.volta.reading import TOKENIZER_FOLDER, from_volta
from iglue_plugins.utils.errors import UserError, did_you_mean

CONFIGURABLE = {field.name for field in dataclasses.fields(UniterConfig)} | {"num_labels"}


class Uniter:
    """A UNITER from a checkpoint, from text-only weights, or freshly initialised.

    A subclass says which one; it may give `checkpoint` another default.
    """

    model_class: ClassVar[type[UniterForVisionAndLanguage]]

    Settings = UniterSettings

    def __init__(self, settings: UniterSettings) -> None:
        self.settings = settings

    def load(self) -> tuple[UniterForVisionAndLanguage, PreTrainedTokenizerBase]:
        """The model, in evaluation mode, and its tokeniser.

        Raises:
            UserError: a checkpoint, text model or tokeniser that is not there, a configuration key that does not exist
                or fit, or a tokeniser of another vocabulary than the model's.
        """
        self._check_settings()
        config = None if self._is_volta else self._load_config()  # first: it says most clearly that nothing is there
        tokenizer = self._load_tokenizer()
        model = self._load_volta() if config is None else self._load_model(config)
        check_vocabulary(tokenizer, model.config, self.settings.tokenizer or self.settings.checkpoint)
        if self.settings.gradient_checkpointing:
            model.activation_checkpointing_enable()
        return model.eval(), tokenizer

    @property
    def _is_volta(self) -> bool:
        return (self.settings.checkpoint or "").endswith(".bin")

    def _check_settings(self) -> None:
        """Something that looks like a path is never asked for on the hub."""
        for key in ("checkpoint", "tokenizer", "text_weights"):
            source = getattr(self.settings, key)
            if not source or Path(source).is_dir() or (key == "checkpoint" and self._is_volta):
                continue
            if source.startswith((".", "/", "~")) or source.count("/") > 1:
                raise UserError(
                    f"model.{key}: found no folder '{source}', expected one with a saved model, or a hub id"
                )
        if self._is_volta and not Path(self.settings.checkpoint).is_file():
            raise UserError(f"model.checkpoint: found no file '{self.settings.checkpoint}', expected VOLTA's weights")
        for key in self.settings.config:
            if key not in CONFIGURABLE:
                raise UserError(f"the model's config has an unknown key {key!r}{did_you_mean(key, CONFIGURABLE)}")

    def _load_tokenizer(self) -> PreTrainedTokenizerBase:
        source, revision = self.settings.tokenizer, None
        if source is None and self._is_volta:
            beside = Path(self.settings.checkpoint).parent / TOKENIZER_FOLDER
            source = str(beside) if beside.is_dir() else None
        elif source is None:
            source, revision = self.settings.checkpoint or self.settings.text_weights, self.settings.revision
        return load_tokenizer(source, revision, model_type=self.model_class.config_class.model_type)

    def _load_model(self, config: UniterConfig) -> UniterForVisionAndLanguage:
        if self.settings.checkpoint is None:
            model = self.model_class(config)
            if self.settings.text_weights:
                load_text_weights(model, self.settings.text_weights, self.settings.revision)
            return model
        try:
            model, found = self.model_class.from_pretrained(
                self.settings.checkpoint,
                revision=self.settings.revision,
                config=config,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
        except FOUND_DAMAGED as error:
            raise UserError(
                f"no {config.model_type} weights can be loaded from {self.settings.checkpoint!r}; expected "
                f"model.safetensors: {first_line(error)}"
            ) from error
        self._check_weights(found)
        return model

    def _check_weights(self, found: dict[str, Any]) -> None:
        """Contrastive projections may be missing, as from VOLTA's models; a run draws them by its seed."""
        problems = [f"lacks {name}" for name in sorted(found["missing_keys"]) if not name.startswith(CONTRASTIVE)]
        problems += [
            f"has {name} of shape {tuple(own)} where {tuple(expected)} is expected"
            for name, own, expected in sorted(found["mismatched_keys"])
        ]
        problems += [f"has {name}, which no part of the model takes" for name in sorted(found["unexpected_keys"])]
        if problems:
            raise UserError(
                f"{self.settings.checkpoint}: its weights do not fit its configuration: it {'; '.join(problems)}"
            )

    def _load_volta(self) -> UniterForVisionAndLanguage:
        weights = Path(self.settings.checkpoint)
        config = weights.parent / "config.json"
        if not config.is_file():
            raise UserError(
                f"model.checkpoint: found no {config}, expected VOLTA's configuration of {weights.name} there"
            )
        if self.settings.config:
            raise UserError(
                f"model.config: found {', '.join(self.settings.config)} beside {weights}, whose "
                "configuration is VOLTA's, expected a checkpoint made by `iglue checkpoint import`"
            )
        model = from_volta(config, weights)
        self._check_type(model.config.model_type)
        return model

    def _load_config(self) -> UniterConfig:
        config_class = self.model_class.config_class
        if self.settings.checkpoint is None:
            text_weights, revision = self.settings.text_weights, self.settings.revision
            sizes = text_sizes(text_weights, revision) if text_weights else {}
            return self._checked(config_class.from_dict, sizes | self.settings.config)
        try:
            stored, _ = config_class.get_config_dict(self.settings.checkpoint, revision=self.settings.revision)
        except FOUND_DAMAGED as error:
            raise UserError(
                f"no model can be loaded from {self.settings.checkpoint!r}; expected a folder that holds config.json "
                f"and model.safetensors, or a hub id: {first_line(error)}"
            ) from error
        self._check_type(stored.get("model_type") if isinstance(stored, dict) else None)
        return self._checked(config_class.from_dict, stored | self.settings.config)

    def _checked(self, make: Callable[..., UniterConfig], settings: dict[str, Any]) -> UniterConfig:
        try:
            return make(settings)
        except FOUND_DAMAGED as error:
            raise UserError(f"the model's config does not fit: {first_line(error)}") from error

    def _check_type(self, found: str | None) -> None:
        expected = self.model_class.config_class.model_type
        if found != expected:
            hint = f"; name the model '{found}'" if found in MODELS else ""
            raise UserError(
                f"{self.settings.checkpoint!r} holds a model of type {found!r}; expected {expected!r}{hint}"
            )


class XUniter(XUniterSpec, Uniter):
    """UNITER on XLM-R (Bugliarello et al. 2022)."""

    model_class = XUniterForVisionAndLanguage


class UC2(UC2Spec, Uniter):
    """UNITER on XLM-R, pre-trained with machine-translated captions (Zhou et al. 2021)."""

    model_class = UC2ForVisionAndLanguage


class MUniter(MUniterSpec, Uniter):
    """UNITER on multilingual BERT (Liu et al. 2021)."""

    model_class = MUniterForVisionAndLanguage
