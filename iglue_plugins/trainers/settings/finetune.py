"""Settings of fine-tuning."""

from __future__ import annotations

import operator
from typing import Literal

from pydantic import Field, model_validator

from iglue_plugins.trainers.settings.base import ContrastiveSettings, LossChoice


class FinetuneSettings(ContrastiveSettings):
    """Settings of fine-tuning on the source language or on auxiliary languages."""

    batch_size: int = Field(32, ge=1, description="examples of a batch")
    loss: LossChoice = Field(
        "task", description="loss of a batch; 'both' adds contrastive_weight times the contrastive loss"
    )
    epochs: int | None = Field(None, ge=1, description="passes over the training examples, instead of `steps`")
    schedule_epochs: int | None = Field(
        None, ge=1, description="epochs that the schedule of the learning rate spans (VOLTA: 20); null: `epochs`"
    )

    length_window: int = Field(
        0,
        ge=0,
        exclude_if=operator.not_,  # so that runs of before there was this setting are runs of the same recipe
        description="batches that are made together of texts of similar length, for less padding; 0: whatever the "
        "length",
    )

    @model_validator(mode="after")
    def _check_epochs(self) -> FinetuneSettings:
        if self.schedule_epochs is not None and self.schedule_epochs < (self.epochs or self.schedule_epochs + 1):
            raise ValueError(
                f"schedule_epochs is {self.schedule_epochs}, but it must be at least epochs, which is {self.epochs}"
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
                f"batch_size is {self.batch_size}, but the contrastive loss takes its negatives from the batch; "
                "raise it to 2 or more"
            )
        return self


class FewShotSettings(FinetuneSettings):
    """Settings of few-shot fine-tuning.

    Source: IGLUE's few-shot protocol (Bugliarello et al. 2022, section 4.2).
    """

    shots: int | str = Field(
        description="number of shots: labelled examples, or images with their examples, as the task counts them"
    )
    learning_rate: None = Field(  # type: ignore[assignment]  # each of learning_rates takes its place
        None, description="not used; see learning_rates"
    )
    learning_rates: tuple[float, ...] = Field(
        (1e-4, 5e-5, 1e-5), min_length=1, description="learning rates that are all tried; validation chooses one"
    )
    epochs: int = Field(20, ge=1, description="passes over the few examples, instead of `steps`")
    batch_size: int = Field(16, ge=1, description="examples of a batch")
    validate_every: int | Literal["epoch"] | None = Field(
        "epoch",
        description="steps between validations, whose best weights are kept; null: the last weights, with one of "
        "learning_rates",
    )

    @model_validator(mode="after")
    def _check_validation(self) -> FewShotSettings:
        if self.validate_every is None and len(self.learning_rates) > 1:
            raise ValueError(
                f"validate_every is null, but validation chooses one of the {len(self.learning_rates)} learning_rates; "
                "give a single one, or a number of steps"
            )
        return self
