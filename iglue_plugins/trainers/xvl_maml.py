"""XVL-MAML: MAML on auxiliary languages whose inner loop minimises a contrastive image-text loss."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel

from iglue_plugins.data.episodes import Steps, episode_steps
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.base import Trainer, TrainingData
from iglue_plugins.trainers.builtin import XVLMAMLSpec
from iglue_plugins.trainers.meta_objective import MetaObjective
from iglue_plugins.trainers.objectives import BatchLoss
from iglue_plugins.utils.errors import UserError


class XVLMAML(XVLMAMLSpec, Trainer):
    """Meta-training of the English model on the auxiliary languages (the paper's method; docs/method.md)."""

    def steps(self, data: TrainingData) -> Steps:
        settings = self.settings
        return episode_steps(
            data.batchers(self.trains_on),
            settings.support_size,
            settings.query_size,
            settings.steps * settings.accumulation,
            data.seed,
            languages_per_step=settings.languages_per_step,
            repeat_languages=settings.repeat_languages,
            disjoint_images=settings.disjoint_images,
        )

    def objective(self, model: PreTrainedModel, task: Task) -> nn.Module:
        pairs = self.settings.pairs or task.default_pairs
        if not self.settings.supervised and task.pairs_require_labels(pairs):
            choices = "'all'" if task.captions_reveal_labels else "'caption' or 'all'"
            raise UserError(
                f"task {task.name}: found pairs '{pairs}', which take labels, expected trainer.pairs "
                f"{choices} with supervised: false"
            )
        return MetaObjective(BatchLoss(model, task, self.settings), self.settings)

    def labels_per_step(self, task: Task, languages: int) -> int:
        """Of the support and query batches, those whose loss, or whose choice of aligned pairs, takes labels."""
        settings = self.settings
        labelled_pairs = task.pairs_require_labels(settings.pairs)
        labelled_support = settings.inner_lr > 0 and (settings.inner_loss != "contrastive" or labelled_pairs)
        labelled_query = settings.outer_loss != "contrastive" or labelled_pairs
        labels = labelled_support * settings.support_size + labelled_query * settings.query_size
        return (settings.languages_per_step or languages) * settings.accumulation * labels
