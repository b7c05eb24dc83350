"""Losses of one batch, as modules: the task's loss, the contrastive loss, or both."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from iglue_plugins.data.batching import model_inputs
from iglue_plugins.models.protocols import EmbedsPairs
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.contrastive_loss import PairTargets, contrastive_loss, pair_targets
from iglue_plugins.trainers.learned import LearnedFactors
from iglue_plugins.trainers.settings.base import ContrastiveSettings, LossChoice
from iglue_plugins.utils.errors import UserError


class BatchLoss(nn.Module):
    """The loss of a batch: L_task, L_CL, or L_task + contrastive_weight * L_CL.

    A learned temperature is a parameter of this module, not of the model.

    Args:
        model: The model, which answers `model(**batch)` and `model.embed_pairs(**pairs, joint=...)`.
        task: The task, which computes L_task and knows the aligned pairs.
        settings: The contrastive settings of the trainer.
    """

    def __init__(self, model: PreTrainedModel, task: Task, settings: ContrastiveSettings) -> None:
        super().__init__()
        self.model = model
        if settings.learned_temperature:
            self.temperature_factor = LearnedFactors(1)
        self._task = task
        self._settings = settings

    def forward(self, batch: dict[str, Tensor], choice: LossChoice) -> dict[str, Tensor]:
        """Compute the loss of a batch.

        Args:
            batch: The tensors of a batch.
            choice: Which loss.

        Returns:
            Scalars by name: "loss", the losses that it is made of, the number of contrastive pairs that have a
            negative, and the temperature where that is learned.

        Raises:
            UserError: The batch does not say which images and texts are the same, and `same_image_pairs` needs it.
        """
        parts: dict[str, Tensor] = {}
        if choice != "contrastive":
            parts["task_loss"] = self._task.loss(self.model(**model_inputs(batch)), batch)
        if choice == "task":
            return {"loss": parts["task_loss"], **parts}
        pairs = self._task.aligned_pairs(batch, self._settings.pairs)
        targets = self._targets(pairs)
        parts["contrastive_loss"] = self._contrastive(pairs, targets)
        negative = targets.negative(len(pairs["input_ids"]), pairs["input_ids"].device)
        parts["contrastive_pairs"] = (negative.any(0) | negative.any(1)).sum().float()
        if self._settings.learned_temperature:
            parts["temperature"] = self._learned_temperature()
        if choice == "contrastive":
            return {"loss": parts["contrastive_loss"], **parts}
        return {"loss": parts["task_loss"] + self._settings.contrastive_weight * parts["contrastive_loss"], **parts}

    @torch.no_grad()
    def learned(self) -> dict[str, float]:
        """Return the temperature where it is learned, for the run's record."""
        return {"temperature": self._learned_temperature().item()} if self._settings.learned_temperature else {}

    def _targets(self, pairs: dict[str, Tensor]) -> PairTargets:
        choice = self._settings.same_image_pairs
        if choice == "negatives":
            return PairTargets()
        if "image_identity" not in pairs:
            raise UserError(
                f"trainer.same_image_pairs is '{choice}', but the batches have no image_identity and text_identity; "
                "make them by a Batcher, or set trainer.same_image_pairs to 'negatives'"
            )
        return pair_targets(pairs["image_identity"], pairs["text_identity"], choice)

    def _contrastive(self, pairs: dict[str, Tensor], targets: PairTargets) -> Tensor:
        """Compute L_CL; it is 0 for the rare batch with fewer than two aligned pairs, where no pair has a negative."""
        if len(pairs["input_ids"]) < 2:
            return torch.zeros((), device=pairs["input_ids"].device, requires_grad=True)
        text, image = cast("EmbedsPairs", self.model).embed_pairs(
            **model_inputs(pairs), joint=self._settings.joint_pass
        )
        return contrastive_loss(text, image, self._temperature(), targets)

    def _temperature(self) -> float | Tensor:
        return self._learned_temperature() if self._settings.learned_temperature else self._settings.temperature

    def _learned_temperature(self) -> Tensor:
        return self._settings.temperature * self.temperature_factor().squeeze()


class BatchObjective(nn.Module):
    """The objective of plain fine-tuning: the loss of one batch.

    Args:
        batch_loss: The losses of a batch.
        choice: Which of them is minimized.
    """

    def __init__(self, batch_loss: BatchLoss, choice: LossChoice) -> None:
        super().__init__()
        self.batch_loss = batch_loss
        self._choice = choice

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Compute the loss of a batch; `BatchLoss.forward` says what is returned."""
        return self.batch_loss(batch, self._choice)

    def learned(self) -> dict[str, float]:
        """Return the temperature where it is learned, for the run's record."""
        return self.batch_loss.learned()
