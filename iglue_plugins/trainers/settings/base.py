"""Settings that every trainer has, and those of trainers with a contrastive loss."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from iglue_plugins.tasks.settings import PairChoice

LossChoice = Literal["task", "contrastive", "both"]


class TrainerSettings(BaseModel):
    """Settings that every trainer has: the optimiser's and the loop's."""

    model_config = ConfigDict(extra="forbid")
    fingerprint_exclude: ClassVar[frozenset[str]] = frozenset({"save_every", "log_every"})  # no effect on the weights

    steps: int = Field(1000, ge=1, description="optimiser steps")
    learning_rate: float = Field(2e-5, gt=0, description="peak learning rate of AdamW (of the outer loop, for MAML)")
    warmup: float = Field(0.1, ge=0, le=1, description="share of the steps over which the learning rate rises")
    weight_decay: float = Field(1e-4, ge=0, description="of weight matrices; biases and LayerNorms have none")
    clip_norm: float = Field(1.0, ge=0, description="largest norm of the gradient; 0 does not clip")
    accumulation: int = Field(1, ge=1, description="batches or episodes whose gradients are averaged for one step")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 where a GPU has it")
    examples: int | None = Field(None, ge=1, description="use only so many training examples a language")
    validate_every: int | Literal["epoch"] | None = Field(
        None, description="steps between validations, of which the best weights are kept; null: keep the last weights"
    )
    save_every: int = Field(200, ge=1, description="steps between checkpoints to resume from")
    log_every: int = Field(10, ge=1, description="steps between logged losses")


class ContrastiveSettings(TrainerSettings):
    """Settings of trainers that can use the contrastive loss L_CL."""

    contrastive_weight: float = Field(0.1, ge=0, description="weight of L_CL where it is added to the task's loss")
    temperature: float = Field(0.07, gt=0, description="divides the cosine similarities in L_CL")
    learned_temperature: bool = Field(False, description="train the temperature too, from this value")
    pairs: PairChoice | None = Field(None, description="image-text pairs of L_CL; default: the task's own choice")
    joint_pass: bool = Field(False, description="take L_CL's text and image vectors from one pass over both")

    def check_temperature(self, *losses: LossChoice) -> None:
        """Raise ValueError where none of the losses would train a learned temperature."""
        if self.learned_temperature and set(losses) == {"task"}:
            raise ValueError("learned_temperature is set, expected a contrastive loss that it belongs to")
