"""Settings of models in a recipe; this module imports neither PyTorch nor transformers."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from iglue_plugins.data.image_kind import ImageKind


class UniterSettings(BaseModel):
    """Settings that say where a UNITER comes from: a checkpoint, text-only weights, or fresh random weights."""

    model_config = ConfigDict(extra="forbid")
    fingerprint_exclude: ClassVar[frozenset[str]] = frozenset({"gradient_checkpointing"})  # no effect on the weights

    checkpoint: str | None = Field(
        None,
        description="local folder, hub id, or a .bin file of VOLTA with its configuration beside it as config.json; "
        "without a checkpoint the model has fresh random weights",
    )
    revision: str | None = Field(None, description="hub revision of the checkpoint or the text_weights")
    config: dict[str, Any] = Field(
        {},
        description="sizes and probabilities of the model's configuration; they replace those of the checkpoint or the "
        "defaults",
    )
    tokenizer: str | None = Field(
        None,
        description="local folder or hub id of the tokenizer; default: the tokenizer of the checkpoint or text_weights",
    )
    text_weights: str | None = Field(
        None,
        description="local folder or hub id of an encoder of BERT's or RoBERTa's architecture, such as XLM-R, "
        "multilingual BERT, LaBSE or multilingual E5; a model without checkpoint takes its text embeddings and layers "
        "from it, its tokenizer, and the sizes that config does not set",
    )
    gradient_checkpointing: bool = Field(
        False, description="recompute each layer in the backward pass, which saves memory and costs time"
    )

    @model_validator(mode="after")
    def _check_one_source(self) -> UniterSettings:
        if self.checkpoint and self.text_weights:
            raise ValueError(
                f"text_weights is {self.text_weights!r}, but checkpoint is {self.checkpoint!r} too; give one of the two"
            )
        return self


class UniterSpec:
    """The part of a UNITER's plugin that recipes are checked against, without importing PyTorch.

    Attributes:
        Settings: The model's settings in a recipe.
        reads: What the model sees of an image.
        implementation: Where the model's plugin is, as "module:Class".
    """

    Settings: ClassVar[type[UniterSettings]] = UniterSettings
    reads: ClassVar[ImageKind] = "regions"
    implementation: ClassVar[str]
