"""Settings of dual encoders that read region features; this module imports neither PyTorch nor transformers."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from iglue_plugins.models.dual_encoder.settings import FusionSettings

TextPooling = Literal["mean", "first"]


class RegionTowerSettings(BaseModel):
    """Sizes of the tower that turns an image's regions into a vector."""

    model_config = ConfigDict(extra="forbid")

    feature_size: int = Field(2048, ge=1, description="numbers of a region's features")
    location_size: Literal[5, 7] = Field(5, description="numbers of a region's location")
    hidden_size: int = Field(256, ge=1, description="width of the regions' hidden states")
    layers: int = Field(
        1, ge=0, description="transformer layers in which the regions see each other before their mean is taken"
    )
    heads: int = Field(4, ge=1, description="attention heads of a layer")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout of embeddings and layers")

    @model_validator(mode="after")
    def _check_heads(self) -> RegionTowerSettings:
        if self.hidden_size % self.heads:
            raise ValueError(f"hidden_size is {self.hidden_size}, which is no multiple of heads, {self.heads}")
        return self


class RegionDualEncoderSettings(FusionSettings):
    """Settings that say where a dual encoder over region features comes from, and how its task head reads it."""

    weight_sources: ClassVar[tuple[str, ...]] = ("checkpoint", "text")

    checkpoint: str | None = Field(None, description="local folder or hub id of a dual encoder that a run has saved")
    revision: str | None = Field(None, description="hub revision of the checkpoint")
    text: str | None = Field(
        None,
        description="local folder or hub id of an encoder of BERT's or RoBERTa's architecture, such as multilingual "
        "E5, which makes a new dual encoder with fresh weights for the regions",
    )
    text_revision: str | None = Field(None, description="hub revision of text")
    text_layers: int | None = Field(None, ge=1, description="lower layers of text that are kept; null: all")
    text_pooling: TextPooling = Field(
        "mean", description="a text's vector: the 'mean' over its tokens, as of E5, or the 'first' token's state"
    )
    text_prefix: str = Field("", description="what stands before each text, such as 'query: ' of E5")
    regions: RegionTowerSettings = Field(RegionTowerSettings(), description="sizes of the tower of the regions")
    projection_size: int = Field(256, ge=1, description="width of the common space of texts and images")

    @model_validator(mode="after")
    def _check_source(self) -> RegionDualEncoderSettings:
        if self.checkpoint and self.text:
            raise ValueError(f"text is {self.text!r}, but checkpoint is {self.checkpoint!r} too; give one of the two")
        return self
