"""Plugins that load the models of a recipe: xUNITER, UC2 and mUNITER."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar, cast

from transformers import PreTrainedTokenizerBase

from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.models.builtin import MUniterSpec, UC2Spec, XUniterSpec
from iglue_plugins.models.checkpoints import LOADING_ERRORS, check_weights
from iglue_plugins.models.configuration import UniterConfig
from iglue_plugins.models.contrastive import CONTRASTIVE_PREFIX
from iglue_plugins.models.settings import UniterSettings
from iglue_plugins.models.text_weights import load_text_weights, text_model_settings
from iglue_plugins.models.tokenizer import check_vocabulary, load_tokenizer
from iglue_plugins.models.uniter import (
    MODELS,
    MUniterForVisionAndLanguage,
    UC2ForVisionAndLanguage,
    UniterForVisionAndLanguage,
    XUniterForVisionAndLanguage,
)
from iglue_plugins.models.volta.reading import TOKENIZER_FOLDER, from_volta
from iglue_plugins.models.volta.settings import read_config
from iglue_plugins.utils.errors import UserError, did_you_mean, first_line
from iglue_plugins.utils.model_sources import is_missing_folder

# A context is a trainer's choice, which the saved model remembers.
CONFIGURABLE = {field.name for field in dataclasses.fields(UniterConfig)} - {"context_size"} | {"num_labels"}


class Uniter:
    """A UNITER from a checkpoint, from text-only weights, or freshly initialized.

    Subclasses name the member of the family by `model_class`, and may give the setting `checkpoint` another default.

    Args:
        settings: The model's settings in the recipe.
    """

    model_class: ClassVar[type[UniterForVisionAndLanguage]]

    Settings = UniterSettings

    def __init__(self, settings: UniterSettings) -> None:
        self.settings = settings

    def load(self) -> tuple[UniterForVisionAndLanguage, RegionProcessor]:
        """Load the model and its processor.

        Returns:
            The model, in evaluation mode, and its processor.

        Raises:
            UserError: The checkpoint, text model or tokenizer is missing or damaged, a configuration key does not exist
                or does not fit, or the tokenizer has another vocabulary than the model.
        """
        config, tokenizer = self._load_config_and_tokenizer()
        model = self._load_volta() if config is None else self._load_model(config)
        settings = self.settings
        check_vocabulary(tokenizer, model.config, settings.tokenizer or settings.checkpoint or settings.text_weights)
        if self.settings.gradient_checkpointing:
            model.activation_checkpointing_enable()
        processor = RegionProcessor(
            tokenizer,
            global_region=model.config.global_region,
            location_size=model.config.region_location_size,
        )
        return model.eval(), processor

    def check(self) -> None:
        """Check what `load` needs, without loading weights.

        Raises:
            UserError: As `load`, except for what only the weights tell.
        """
        self._load_config_and_tokenizer()

    def check_regions(self, where: str, feature_size: int) -> None:
        """Check that the model reads features of the regions that a run gives it, without loading weights.

        Args:
            where: The store of the regions, for the error.
            feature_size: The number of features of a region.

        Raises:
            UserError: The model reads another number, or its configuration cannot be read.
        """
        self._check_settings()
        size, checkpoint = self._region_feature_size(), self.settings.checkpoint
        if feature_size == size:
            return
        found = f"{where}: its regions have {feature_size} features, but"
        if checkpoint is None:
            raise UserError(
                f"{found} the model reads {size}; set model.config.region_feature_size={feature_size}, or make the "
                f"store from features of size {size}"
            )
        raise UserError(
            f"{found} the weights of {checkpoint} read {size}; make the store as the one that they were trained on, or "
            f"pre-train a model on such regions: one without a checkpoint, and with "
            f"model.config.region_feature_size={feature_size} (docs/regions.md)"
        )

    def _region_feature_size(self) -> int:
        if self._is_volta:
            return read_config(self._volta_weights.parent / "config.json").region_feature_size
        stored, key = self._stored_settings(), "region_feature_size"
        size = self._make_config(stored | self.settings.config).region_feature_size
        if self.settings.checkpoint and size != (trained := self._make_config(stored).region_feature_size):
            raise UserError(
                f"model.config.{key}: it is {size}, but the weights of {self.settings.checkpoint} read {trained} "
                f"features of a region; remove {key}, or set no checkpoint, which makes a model of fresh weights"
            )
        return size

    @property
    def _config_class(self) -> type[UniterConfig]:
        return self.model_class.config_class

    @property
    def _is_volta(self) -> bool:
        return (self.settings.checkpoint or "").endswith(".bin")

    @property
    def _volta_weights(self) -> Path:
        return Path(self.settings.checkpoint or "")

    def _check_settings(self) -> None:
        """Check the settings, and that none which looks like a path is taken for a hub id."""
        for key in ("checkpoint", "tokenizer", "text_weights"):
            source = getattr(self.settings, key)
            if source and not (key == "checkpoint" and self._is_volta) and is_missing_folder(source):
                raise UserError(
                    f"model.{key}: there is no folder '{source}'; give a folder with a saved model, or a hub id "
                    "(docs/reproducing.md says where IGLUE's are)"
                )
        if self._is_volta and not self._volta_weights.is_file():
            raise UserError(f"model.checkpoint: there is no file '{self._volta_weights}'; give VOLTA's weights")
        for key in self.settings.config:
            if key not in CONFIGURABLE:
                raise UserError(f"model.config: unknown key {key!r}{did_you_mean(key, CONFIGURABLE)}")

    def _load_config_and_tokenizer(self) -> tuple[UniterConfig | None, PreTrainedTokenizerBase]:
        """Load the configuration, which is None for a model of VOLTA, and the tokenizer.

        The configuration comes first, because its error says most clearly what is missing. On text weights the
        tokenizer then says which ids there are, since text models may have rows that none of its ids chooses.
        """
        self._check_settings()
        if self._is_volta:
            return None, self._load_tokenizer()
        stored = self._stored_settings()
        config, tokenizer = self._make_config(stored | self.settings.config), self._load_tokenizer()
        if self.settings.text_weights and not self.settings.checkpoint:
            from_tokenizer: dict[str, Any] = {}
            if stored["position_ids"] == "bert":
                from_tokenizer["pad_token_id"] = tokenizer.pad_token_id
            if not self.settings.tokenizer:
                from_tokenizer["vocab_size"] = min(len(tokenizer), stored["vocab_size"])
            config = self._make_config(stored | from_tokenizer | self.settings.config)
        return config, tokenizer

    def _load_tokenizer(self) -> PreTrainedTokenizerBase:
        source, revision = self.settings.tokenizer, None
        if source is None and self._is_volta:
            folder = self._volta_weights.parent / TOKENIZER_FOLDER
            source = str(folder) if folder.is_dir() else None
        elif source is None:
            source, revision = self.settings.checkpoint or self.settings.text_weights, self.settings.revision
        model_type = None if self.settings.text_weights else self._config_class.model_type
        return load_tokenizer(source, revision, model_type=model_type)

    def _load_model(self, config: UniterConfig) -> UniterForVisionAndLanguage:
        if self.settings.checkpoint is None:
            model = self.model_class(config)
            if self.settings.text_weights:
                load_text_weights(model, self.settings.text_weights, self.settings.revision)
            return model
        try:
            loaded = self.model_class.from_pretrained(
                self.settings.checkpoint,
                revision=self.settings.revision or "main",
                config=config,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
        except LOADING_ERRORS as error:
            raise UserError(
                f"model.checkpoint: no {config.model_type} weights can be loaded from {self.settings.checkpoint!r} "
                f"({first_line(error)}); give a folder that holds model.safetensors, or a hub id"
            ) from error
        # transformers does not say in its types that this option returns a pair.
        model, loading_info = cast("tuple[UniterForVisionAndLanguage, dict[str, Any]]", loaded)
        # Contrastive projections may be missing, as in VOLTA's models; a run draws them by its seed.
        check_weights(self.settings.checkpoint, loading_info, (CONTRASTIVE_PREFIX,))
        return model

    def _load_volta(self) -> UniterForVisionAndLanguage:
        weights = self._volta_weights
        config = weights.parent / "config.json"
        if not config.is_file():
            raise UserError(
                f"model.checkpoint: there is no {config}; put VOLTA's configuration of {weights.name} there"
            )
        if self.settings.config:
            raise UserError(
                f"model.config: {', '.join(self.settings.config)} cannot be set, because {weights} is read with "
                "VOLTA's configuration; make a checkpoint by `iglue checkpoint import` first"
            )
        model = from_volta(config, weights)
        self._check_type(model.config.model_type)
        return model

    def _stored_settings(self) -> dict[str, Any]:
        """Read the configuration of the checkpoint, or what text weights say of it."""
        config_class = self._config_class
        if self.settings.checkpoint is None:
            text_weights, revision = self.settings.text_weights, self.settings.revision
            return text_model_settings(text_weights, revision, config_class) if text_weights else {}
        try:
            stored, _ = config_class.get_config_dict(self.settings.checkpoint, revision=self.settings.revision)
        except LOADING_ERRORS as error:
            raise UserError(
                f"model.checkpoint: no model can be loaded from {self.settings.checkpoint!r} ({first_line(error)}); "
                "give a folder that holds config.json and model.safetensors, or a hub id"
            ) from error
        self._check_type(stored.get("model_type") if isinstance(stored, dict) else None)
        return stored

    def _make_config(self, settings: dict[str, Any]) -> UniterConfig:
        try:
            return self._config_class.from_dict(settings)
        except LOADING_ERRORS as error:
            raise UserError(f"model.config: does not fit: {first_line(error)}") from error

    def _check_type(self, model_type: str | None) -> None:
        expected = self._config_class.model_type
        if model_type != expected:
            remedy = f"; name the model '{model_type}' in the recipe" if model_type in MODELS else ""
            raise UserError(
                f"model.checkpoint: {self.settings.checkpoint!r} holds a model of type {model_type!r}, not {expected!r}"
                f"{remedy}"
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
