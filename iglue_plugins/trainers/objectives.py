"""Losses of one batch, as modules: the task's loss, the contrastive loss, or both."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from iglue_plugins.data.batching import Batch
from iglue_plugins.models.protocols import EmbedsJointly, EmbedsPairs
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.pairs import ImageTextPairs
from iglue_plugins.trainers.contrastive_loss import PairTargets, pair_loss, pair_targets
from iglue_plugins.trainers.learned import LearnedFactors
from iglue_plugins.trainers.settings.base import ContrastiveSettings, LossChoice
from iglue_plugins.trainers.similarity import Similarity, check_contrastive, check_embeds, similarity_of


def reads_captions(task: Task, settings: ContrastiveSettings, *choices: LossChoice) -> bool:
    """Return whether one of some losses reads the captions of a batch.

    Args:
        task: The task.
        settings: The contrastive settings of the trainer.
        *choices: The losses.
    """
    by_pairs = set(choices) != {"task"} and task.pairs_read_captions(settings.pairs)
    return by_pairs or (set(choices) != {"contrastive"} and task.loss_reads_captions)


class BatchLoss(nn.Module):
    """The loss of a batch: L_task, L_CL, or L_task + contrastive_weight * L_CL.

    A learned temperature is a parameter of this module, not of the model.

    Args:
        model: The model, which answers `model(**inputs)`, `embed_text(**inputs)` and `embed_image(**inputs)`.
        task: The task, which computes L_task and knows the aligned pairs.
        settings: The contrastive settings of the trainer.

    Raises:
        UserError: The model lacks what the settings of the contrastive loss need.
    """

    def __init__(self, model: PreTrainedModel, task: Task, settings: ContrastiveSettings) -> None:
        super().__init__()
        check_contrastive(model, settings.contrastive, settings.joint_pass)
        self.model = model
        if settings.learned_temperature:
            self.temperature_factor = LearnedFactors(1)
        self._task = task
        self._settings = settings

    def check(self, *choices: LossChoice) -> None:
        """Check that the model can compute losses, before the first step.

        Args:
            choices: The losses.

        Raises:
            UserError: One of them is contrastive, and the model does not embed texts and images.
        """
        if set(choices) - {"task"} and not self._settings.joint_pass:
            check_embeds(self.model)

    def forward(self, batch: Batch, choice: LossChoice) -> dict[str, Tensor]:
        """Compute the loss of a batch.

        Args:
            batch: The batch.
            choice: Which loss.

        Returns:
            Scalars by name: "loss", the losses that it is made of, the number of contrastive pairs that have a
            negative, and the temperature where that is learned.

        Raises:
            UserError: The examples have no captions, and the settings ask for them.
        """
        parts: dict[str, Tensor] = {}
        if choice != "contrastive":
            parts["task_loss"] = self._task.loss(self.model(**batch.inputs), batch)
        if choice == "task":
            return {"loss": parts["task_loss"], **parts}
        pairs = self._task.aligned_pairs(batch, self._settings.pairs)
        targets = pair_targets(pairs.image_identity, pairs.text_identity, self._settings.same_image_pairs)
        parts["contrastive_loss"] = self._contrastive(pairs, targets)
        negative = targets.negative(len(pairs), batch.labels.device)
        parts["contrastive_pairs"] = (negative.any(0) | negative.any(1)).sum().float()
        if self._settings.learned_temperature:
            parts["temperature"] = torch.as_tensor(self._similarity().temperature)
        if choice == "contrastive":
            return {"loss": parts["contrastive_loss"], **parts}
        return {"loss": parts["task_loss"] + self._settings.contrastive_weight * parts["contrastive_loss"], **parts}

    @torch.no_grad()
    def learned(self) -> dict[str, float]:
        """Return the temperature where it is learned, for the run's record."""
        return {"temperature": float(self._similarity().temperature)} if self._settings.learned_temperature else {}

    def _contrastive(self, pairs: ImageTextPairs, targets: PairTargets) -> Tensor:
        """Compute L_CL; it is 0 for the rare batch with fewer than two aligned pairs, where no pair has a negative."""
        if len(pairs) < 2:
            return torch.zeros((), device=pairs.text_identity.device, requires_grad=True)
        return pair_loss(self._settings.contrastive, *self._embed(pairs), self._similarity(), targets)

    def _embed(self, pairs: ImageTextPairs) -> tuple[Tensor, Tensor]:
        if self._settings.joint_pass:
            joint = cast("EmbedsJointly", self.model)
            return joint.embed_joint(pairs.text, pairs.image, images_per_text=pairs.images_per_text)
        model = cast("EmbedsPairs", self.model)
        return model.embed_text(**pairs.text), model.embed_image(**pairs.image, images_per_text=pairs.images_per_text)

    def _similarity(self) -> Similarity:
        chosen = similarity_of(self.model, self._settings.temperature)
        if not self._settings.learned_temperature:
            return chosen
        return chosen._replace(temperature=chosen.temperature * self.temperature_factor().squeeze())


class BatchObjective(nn.Module):
    """The objective of plain fine-tuning: the loss of one batch.

    Args:
        batch_loss: The losses of a batch.
        choice: Which of them is minimized.

    Raises:
        UserError: The model cannot compute it.
    """

    def __init__(self, batch_loss: BatchLoss, choice: LossChoice) -> None:
        super().__init__()
        batch_loss.check(choice)
        self.batch_loss = batch_loss
        self._choice = choice

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the loss of a batch; `BatchLoss.forward` says what is returned."""
        return self.batch_loss(batch, self._choice)

    def learned(self) -> dict[str, float]:
        """Return the temperature where it is learned, for the run's record."""
        return self.batch_loss.learned()
