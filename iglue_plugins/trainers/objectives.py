"""Losses of one batch, as modules: the task's loss, the contrastive loss, or both."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from iglue_plugins.models.protocols import EmbedsPairs
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.learned import LearnedFactors
from iglue_plugins.trainers.settings.base import ContrastiveSettings, LossChoice


def contrastive_loss(text: Tensor, image: Tensor, temperature: float | Tensor) -> Tensor:
    """Compute symmetric InfoNCE over a batch of image-text pairs, the method's L_CL.

    Args:
        text: L2-normalized text vectors, float (pairs, size).
        image: L2-normalized image vectors, float (pairs, size); row i belongs to row i of `text`.
        temperature: What divides the cosine similarities.

    Returns:
        A scalar, the mean of the cross-entropies from texts to images and from images to texts.

    Source: the XVL-MAML paper (arXiv 2305.14843); CLIP (Radford et al. 2021).
    """
    similarity = text @ image.T / temperature
    targets = torch.arange(len(text), device=text.device)
    return (functional.cross_entropy(similarity, targets) + functional.cross_entropy(similarity.T, targets)) / 2


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
            Scalars by name: "loss", the losses that it is made of, the number of contrastive pairs, and the temperature
            where that is learned.
        """
        parts: dict[str, Tensor] = {}
        if choice != "contrastive":
            parts["task_loss"] = self._task.loss(self.model(**batch), batch)
        if choice == "task":
            return {"loss": parts["task_loss"], **parts}
        pairs = self._task.aligned_pairs(batch, self._settings.pairs)
        parts["contrastive_loss"] = self._contrastive(pairs)
        parts["contrastive_pairs"] = pairs["attention_mask"][:, 0].sum().float()
        if self._settings.learned_temperature:
            parts["temperature"] = self._learned_temperature()
        if choice == "contrastive":
            return {"loss": parts["contrastive_loss"], **parts}
        return {"loss": parts["task_loss"] + self._settings.contrastive_weight * parts["contrastive_loss"], **parts}

    @torch.no_grad()
    def learned(self) -> dict[str, float]:
        """Return the temperature where it is learned, for the run's record."""
        return {"temperature": self._learned_temperature().item()} if self._settings.learned_temperature else {}

    def _contrastive(self, pairs: dict[str, Tensor]) -> Tensor:
        """Compute L_CL; it is 0 for the rare batch with fewer than two aligned pairs, where no pair has a negative."""
        if len(pairs["input_ids"]) < 2:
            return torch.zeros((), device=pairs["input_ids"].device, requires_grad=True)
        text, image = cast("EmbedsPairs", self.model).embed_pairs(**pairs, joint=self._settings.joint_pass)
        return contrastive_loss(text, image, self._temperature())

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
