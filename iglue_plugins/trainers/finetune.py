"""Plain fine-tuning: in the source language (the baseline), or on the auxiliary languages (a control)."""

from __future__ import annotations

from pydantic import Field, model_validator
from torch import nn
from transformers import PreTrainedModel

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.episodes import Steps, batch_epochs, batch_steps
from iglue_plugins.registry import trainers
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.base import Trainer, TrainingData
from iglue_plugins.trainers.objectives import BatchLoss, BatchObjective, ContrastiveSettings, LossChoice


class FinetuneSettings(ContrastiveSettings):
    batch_size: int = Field(32, ge=1, description="examples a batch")
    loss: LossChoice = Field("task", description="'both' adds contrastive_weight times the contrastive loss")
    epochs: int | None = Field(None, ge=1, description="passes over the training examples, instead of steps")
    schedule_epochs: int | None = Field(
        None, ge=1, description="epochs after which the learning rate would reach 0 (VOLTA: 20); default: epochs")

    @model_validator(mode="after")
    def _check_epochs(self) -> FinetuneSettings:
        if self.schedule_epochs is not None and self.schedule_epochs < (self.epochs or self.schedule_epochs + 1):
            raise ValueError(f"schedule_epochs is {self.schedule_epochs}, expected at least epochs, which is "
                             f"{self.epochs}")
        return self

    @model_validator(mode="after")
    def _check_temperature(self) -> FinetuneSettings:
        self.check_temperature(self.loss)
        return self

    @model_validator(mode="after")
    def _check_negatives(self) -> FinetuneSettings:
        if self.loss != "task" and self.batch_size < 2:
            raise ValueError(f"batch_size is {self.batch_size}, expected at least 2: the contrastive loss takes its "
                             "negatives from the batch")
        return self


@trainers.register("finetune")
class Finetune(Trainer):
    """Fine-tuning on the source language's training examples."""

    Settings = FinetuneSettings

    def steps(self, data: TrainingData) -> Steps:
        settings, batchers = self.settings, list(self.batchers(data).values())
        if settings.epochs:
            return batch_epochs(batchers, settings.batch_size, settings.epochs,
                                settings.schedule_epochs or settings.epochs, data.seed)
        return batch_steps(batchers, settings.batch_size, settings.steps * settings.accumulation, data.seed)

    def batchers(self, data: TrainingData) -> dict[str, Batcher]:
        return data.batchers(self.trains_on)

    def objective(self, model: PreTrainedModel, task: Task) -> nn.Module:
        return BatchObjective(BatchLoss(model, task, self.settings), self.settings.loss)

    def labels_per_step(self, task: Task, languages: int) -> int:
        labelled = self.settings.loss != "contrastive" or task.pairs_take_labels(self.settings.pairs)
        return labelled * self.settings.batch_size * self.settings.accumulation


@trainers.register("auxiliary_finetune")
class AuxiliaryFinetune(Finetune):
    """Fine-tuning of the English model on the auxiliary languages' labelled examples, a language at a time in turn."""

    starts_from = "finetune"
    trains_on = "auxiliary"
