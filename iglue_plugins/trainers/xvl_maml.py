"""XVL-MAML: MAML on auxiliary languages whose inner loop minimizes a contrastive image-text loss."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel
from typing_extensions import override

from iglue_plugins.data.episodes import Steps, episode_steps
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.base import Trainer
from iglue_plugins.trainers.builtin import XVLMAMLSpec
from iglue_plugins.trainers.inner_parameters import give_context
from iglue_plugins.trainers.meta_objective import MetaObjective
from iglue_plugins.trainers.objectives import BatchLoss, reads_captions
from iglue_plugins.trainers.settings.xvl_maml import XVLMAMLSettings
from iglue_plugins.trainers.training_data import TrainingData
from iglue_plugins.utils.errors import UserError


class XVLMAML(XVLMAMLSpec, Trainer):
    """Meta-training of the fine-tuned model on the auxiliary languages.

    Source: the XVL-MAML paper (arXiv 2305.14843); docs/method.md says what each setting does.
    """

    settings: XVLMAMLSettings

    @override
    def steps(self, data: TrainingData) -> Steps:
        """Make the meta-steps: an episode of each auxiliary language, or of some of them.

        Args:
            data: Where the examples are.

        Returns:
            Items {"episodes": [{"language": str, "support": batch, "query": batch}, ...], "step": number}.

        Raises:
            UserError: A language has too few examples for an episode, or there are fewer languages than a step takes.
        """
        settings = self.settings
        episodes = episode_steps(
            data.batchers(self.trains_on, captions=self.reads_captions(data.task)),
            settings.support_size,
            settings.query_size,
            settings.steps * settings.accumulation,
            data.seed,
            languages_per_step=settings.languages_per_step,
            repeat_languages=settings.repeat_languages,
            disjoint_images=settings.disjoint_images,
            distinct_images=settings.distinct_images,
            compare_captions=data.task.pairs_read_captions(settings.pairs),
        )
        return Steps(lambda item: {**episodes[item], "step": item // settings.accumulation}, len(episodes))

    def reads_captions(self, task: Task) -> bool:
        """Return whether the objective reads the captions of batches; a subclass with another objective says so here.

        Args:
            task: The task.
        """
        return reads_captions(task, self.settings, self.settings.inner_loss, self.settings.outer_loss)

    @override
    def objective(self, model: PreTrainedModel, task: Task) -> nn.Module:
        """Make the meta-step's module.

        Args:
            model: The model, which has the task's head, and gets a context where the settings ask for one.
            task: The task.

        Returns:
            A `MetaObjective`.

        Raises:
            UserError: Without supervision, the pairs of the contrastive loss would take labels, or the model cannot
                compute what the settings ask for.
        """
        pairs = self.settings.pairs or task.default_pairs
        if not self.settings.supervised and task.pairs_require_labels(pairs):
            choices = "'all'" if task.captions_reveal_labels else "'caption' or 'all'"
            raise UserError(
                f"task {task.name}: trainer.pairs '{pairs}' needs labels, and supervised is false; set trainer.pairs "
                f"to {choices}"
            )
        if self.settings.context_size:
            give_context(model, self.settings.context_size)
        return MetaObjective(BatchLoss(model, task, self.settings), self.settings)

    @override
    def labels_per_step(self, task: Task, languages: int) -> int:
        """Count the examples of support and query batches whose loss, or choice of aligned pairs, takes labels."""
        settings = self.settings
        labelled_pairs = task.pairs_require_labels(settings.pairs)
        labelled_support = settings.inner_lr > 0 and (settings.inner_loss != "contrastive" or labelled_pairs)
        labelled_query = settings.outer_loss != "contrastive" or labelled_pairs
        labels = labelled_support * settings.support_size + labelled_query * settings.query_size
        return (settings.languages_per_step or languages) * settings.accumulation * labels
