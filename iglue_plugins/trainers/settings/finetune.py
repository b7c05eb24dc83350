"""Settings of fine-tuning."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from iglue_plugins.trainers.settings.base import ContrastiveSettings, LossChoice


class FinetuneSettings(ContrastiveSettings):
    batch_size: int = Field(32, ge=1, description="examples a batch")
    loss: LossChoice = Field("task", description="'both' adds contrastive_weight times the contrastive loss")
    epochs: int | None = Field(None, ge=1, description="passes over the training examples, instead of steps")
    schedule_epochs: int | None = Field(
        None, ge=1, description="epochs after which the learning rate would reach 0 (VOLTA: 20); default: epochs"
    )

    @model_validator(mode="after")
    def _check_epochs(self) -> FinetuneSettings:
        if self.schedule_epochs is not None and self.schedule_epochs < (self.epochs or self.schedule_epochs + 1):
            raise ValueError(
                f"schedule_epochs is {self.schedule_epochs}, expected at least epochs, which is {self.epochs}"
            )
        return self

    @model_validator(mode="after")
    def _check_temperature(self) -> FinetuneSettings:
        self.check_temperature(self.loss)
        return self

    @model_validator(mode="after")
    def _check_negatives(self) -> FinetuneSettings:
        if self.loss != "task" and self.batch_size < 2:
            raise ValueError(
                f"batch_size is {self.batch_size}, expected at least 2: the contrastive loss takes its "
                "negatives from the batch"
            )
        return self


class FewShotSettings(FinetuneSettings):
    shots: int | str = Field(description="labelled examples, or images with theirs, as the task counts them")
    learning_rate: None = Field(None, description="see learning_rates")
    learning_rates: tuple[float, ...] = Field(
        (1e-4, 5e-5, 1e-5), min_length=1, description="all tried; validation chooses"
    )
    epochs: int = Field(20, ge=1, description="passes over the few examples")
    batch_size: int = Field(16, ge=1, description="examples a batch")
    validate_every: int | Literal["epoch"] = Field(
        "epoch", description="steps between validations, of which the best weights are kept"
    )
