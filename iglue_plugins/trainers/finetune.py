"""Plain fine-tuning: in the source language (the baseline), or on the auxiliary languages (a control)."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel
from typing_extensions import override

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.episodes import Steps, batch_epochs, batch_steps
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.base import Trainer
from iglue_plugins.trainers.builtin import AuxiliaryFinetuneSpec, FinetuneSpec
from iglue_plugins.trainers.objectives import BatchLoss, BatchObjective, reads_captions
from iglue_plugins.trainers.settings.finetune import FinetuneSettings
from iglue_plugins.trainers.training_data import TrainingData


class Finetune(FinetuneSpec, Trainer):
    """Fine-tuning on the source language's training examples."""

    settings: FinetuneSettings

    @override
    def steps(self, data: TrainingData) -> Steps:
        settings, batchers = self.settings, list(self._batchers(data).values())
        size, window = settings.batch_size, settings.length_window
        if settings.epochs:
            schedule = settings.schedule_epochs or settings.epochs
            return batch_epochs(batchers, size, settings.epochs, schedule, data.seed, length_window=window)
        return batch_steps(batchers, size, settings.steps * settings.accumulation, data.seed, length_window=window)

    def _batchers(self, data: TrainingData) -> dict[str, Batcher]:
        return data.batchers(self.trains_on, captions=self.reads_captions(data.task))

    def reads_captions(self, task: Task) -> bool:
        """Return whether the objective reads the captions of batches; a subclass with another objective says so here.

        Args:
            task: The task.
        """
        return reads_captions(task, self.settings, self.settings.loss)

    @override
    def objective(self, model: PreTrainedModel, task: Task) -> nn.Module:
        return BatchObjective(BatchLoss(model, task, self.settings), self.settings.loss)

    @override
    def labels_per_step(self, task: Task, languages: int) -> int:
        labelled = self.settings.loss != "contrastive" or task.pairs_require_labels(self.settings.pairs)
        return labelled * self.settings.batch_size * self.settings.accumulation


class AuxiliaryFinetune(AuxiliaryFinetuneSpec, Finetune):
    """Fine-tuning of the English model on labelled examples of the auxiliary languages, one language a step in turn."""
