"""The settings of models in a recipe; this module imports neither PyTorch nor transformers."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator


class UniterSettings(BaseModel):
    """Where a UNITER comes from: a checkpoint, text-only weights, or fresh random weights."""

    model_config = ConfigDict(extra="forbid")
    fingerprint_exclude: ClassVar[frozenset[str]] = frozenset({"gradient_checkpointing"})  # no effect on the weights

    checkpoint: str | None = Field(
        None,
        description="local folder, hub id, or a .bin of VOLTA with its configuration beside it as config.json; without "
        "one the model has fresh random weights",
    )
    revision: str | None = Field(None, description="the hub revision of checkpoint or text_weights")
    config: dict[str, Any] = Field(
        {},
        description="sizes and probabilities of the model's configuration, instead of the checkpoint's or the defaults",
    )
    tokenizer: str | None = Field(
        None, description="local folder or hub id; default: the checkpoint's tokenizer, or that of text_weights"
    )
    text_weights: str | None = Field(
        None,
        description="local folder or hub id of an XLM-R (mUNITER: a multilingual BERT) from which a model without "
        "checkpoint takes its text embeddings and layers, and the sizes that config does not set",
    )
    gradient_checkpointing: bool = Field(
        False, description="compute each layer again in the backward pass, which saves memory and costs time"
    )

    @model_validator(mode="after")
    def _check_one_source(self) -> UniterSettings:
        if self.checkpoint and self.text_weights:
            raise ValueError(
                f"text_weights is {self.text_weights!r} beside the checkpoint {self.checkpoint!r}; give one of the two"
            )
        return self


class UniterSpec:
    """What a recipe has to know of a UNITER.

    Attributes:
        Settings: The model's settings in a recipe.
        implementation: Where the model's plugin is, as "module:Class".
    """

    Settings: ClassVar[type[UniterSettings]] = UniterSettings
    implementation: ClassVar[str]
