"""Training on a batch of each auxiliary language at a time, by the loss of the language that does worst."""

import torch
from pydantic import Field
from torch import nn

from iglue_plugins.data.episodes import ShuffledExamples, Steps
from iglue_plugins.trainers.base import Trainer
from iglue_plugins.trainers.settings.base import TrainerSettings


class WorstLanguageSettings(TrainerSettings):
    batch_size: int = Field(32, ge=1, description="examples a language")


class WorstLanguageObjective(nn.Module):
    def __init__(self, model, task):
        super().__init__()
        self.model = model
        self.task = task

    def forward(self, batches):
        """batches: a batch for each language. Returns the largest loss, and all of them to log."""
        losses = {
            f"loss_{language}": self.task.loss(self.model(**batch.inputs), batch) for language, batch in batches.items()
        }
        return {"loss": torch.stack(list(losses.values())).max(), **losses}


class WorstLanguage(Trainer):
    Settings = WorstLanguageSettings
    starts_from = "finetune"
    trains_on = "auxiliary"

    def steps(self, data):
        size = self.settings.batch_size
        examples = {
            language: ShuffledExamples(batcher, size, (data.seed, i))
            for i, (language, batcher) in enumerate(data.batchers(self.trains_on).items())
        }

        def make_step(step):
            return {"batches": {key: shuffled.split_batches(step, size)[0] for key, shuffled in examples.items()}}

        return Steps(make_step, self.settings.steps * self.settings.accumulation)

    def objective(self, model, task):
        return WorstLanguageObjective(model, task)

    def labels_per_step(self, task, languages):
        return languages * self.settings.accumulation * self.settings.batch_size
