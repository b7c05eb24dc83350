"""Plain fine-tuning: in the source language (the baseline), or on the auxiliary languages (a control)."""

from __future__ import annotations

from pydantic import Field, model_validator
from torch import nn
from transformers import PreTrainedModel

from iglue_plugins.data.episodes import Steps, batch_steps
from iglue_plugins.registry import trainers
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.base import Trainer, TrainingData
from iglue_plugins.trainers.objectives import BatchLoss, BatchObjective, ContrastiveSettings, LossChoice


class FinetuneSettings(ContrastiveSettings):
    batch_size: int = Field(32, ge=1, description="examples a batch")
    loss: LossChoice = Field("task", description="'both' adds contrastive_weight times the contrastive loss")

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
        batchers = data.batchers(self.trains_on)
        count = self.settings.steps * self.settings.accumulation
        return batch_steps(list(batchers.values()), self.settings.batch_size, count, data.seed)

    def objective(self, model: PreTrainedModel, task: Task) -> nn.Module:
        return BatchObjective(BatchLoss(model, task, self.settings), self.settings.loss)

    def labels_per_step(self, task: Task, languages: int) -> int:
        labelled = self.settings.loss != "contrastive" or (self.settings.pairs or task.default_pairs) == "aligned"
        return labelled * self.settings.batch_size * self.settings.accumulation


@trainers.register("auxiliary_finetune")
class AuxiliaryFinetune(Finetune):
    """Fine-tuning of the English model on the auxiliary languages' labelled examples, a language at a time in turn."""

    starts_from = "finetune"
    trains_on = "auxiliary"
