"""Settings of dual encoders in a recipe; this module imports neither PyTorch nor transformers."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

FusionKind = Literal["concat", "cross_attention"]


class FusionSettings(BaseModel):
    """Settings that every dual encoder has: how its task head joins text and image."""

    model_config = ConfigDict(extra="forbid")
    fingerprint_exclude: ClassVar[frozenset[str]] = frozenset({"gradient_checkpointing"})  # no effect on the weights

    fusion: FusionKind | None = Field(
        None,
        description="what a task head reads: 'concat', text and image vectors with their products and differences; "
        "'cross_attention', token states that attend to the image's patches; null: as the checkpoint, or concat",
    )
    fusion_layers: int | None = Field(
        None, ge=1, description="layers of cross_attention; null: as the checkpoint, or 1"
    )
    dropout: float | None = Field(
        None, ge=0, lt=1, description="dropout of the task head; null: as the checkpoint, or 0.1"
    )
    gradient_checkpointing: bool = Field(
        False, description="recompute each layer of the towers in the backward pass, which saves memory and costs time"
    )


class DualEncoderSettings(FusionSettings):
    """Settings that say where a dual encoder comes from, and how its task head joins text and image."""

    weight_sources: ClassVar[tuple[str, ...]] = ("checkpoint", "text", "vision")

    checkpoint: str | None = Field(
        None, description="local folder or hub id of a dual encoder, such as google/siglip2-base-patch16-224"
    )
    revision: str | None = Field(None, description="hub revision of the checkpoint")
    text: str | None = Field(
        None, description="local folder or hub id of a text encoder, which with vision makes a new dual encoder"
    )
    text_revision: str | None = Field(None, description="hub revision of text")
    vision: str | None = Field(
        None, description="local folder or hub id of a vision encoder, which with text makes a new dual encoder"
    )
    vision_revision: str | None = Field(None, description="hub revision of vision")
    config: dict[str, Any] | None = Field(
        None,
        description="configuration of a dual encoder with fresh weights, as transformers names its fields: model_type, "
        "text_config, vision_config; with processor, in the place of a checkpoint",
    )
    processor: str | None = Field(
        None,
        description="local folder or hub id of tokenizer and image processor; default: those of the checkpoint, or of "
        "text and vision",
    )
    projection_size: int = Field(
        512, ge=1, description="width of the common space of a dual encoder that is made of text and vision"
    )

    @model_validator(mode="after")
    def _check_sources(self) -> DualEncoderSettings:
        given = [key for key in ("text", "vision") if getattr(self, key)]
        if self.checkpoint and given:
            raise ValueError(
                f"{given[0]} is {getattr(self, given[0])!r}, but checkpoint is {self.checkpoint!r} too; give a "
                "checkpoint, or text and vision"
            )
        if self.config and (self.checkpoint or given):
            source = "checkpoint" if self.checkpoint else given[0]
            raise ValueError(f"config is given, but {source} is {getattr(self, source)!r} too; give one of them")
        if self.config and not self.processor:
            raise ValueError("config is given without processor; give the folder of a tokenizer and image processor")
        if len(given) == 1:
            lacking = "vision" if given == ["text"] else "text"
            raise ValueError(f"{given[0]} is {getattr(self, given[0])!r} without {lacking}; give both")
        return self
