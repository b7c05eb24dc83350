"""Losses of one batch, as modules: the task's own, the contrastive one, or both."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.learned import LearnedFactors
from iglue_plugins.trainers.settings.base import ContrastiveSettings, LossChoice


def contrastive_loss(text: Tensor, image: Tensor, temperature: float | Tensor) -> Tensor:
    """Symmetric InfoNCE over a batch of image-text pairs (the method's L_CL).

    text, image: float (P, size), L2-normalised; row i of one belongs to row i of the other. Returns a scalar.
    """
    similarity = text @ image.T / temperature
    targets = torch.arange(len(text), device=text.device)
    return (functional.cross_entropy(similarity, targets) + functional.cross_entropy(similarity.T, targets)) / 2


class BatchLoss(nn.Module):
    """L_task, L_CL or L_task + contrastive_weight * L_CL of a batch, by the parameters of `model`.

    A learned temperature is a parameter of this module, not of the model.
    """

    def __init__(self, model: PreTrainedModel, task: Task, settings: ContrastiveSettings) -> None:
        super().__init__()
        self.model = model
        if settings.learned_temperature:
            self.temperature_factor = LearnedFactors(1)
        self._task = task
        self._settings = settings

    def forward(self, batch: dict[str, Tensor], choice: LossChoice) -> dict[str, Tensor]:
        """'loss', the losses that it is made of by name, and how many pairs the contrastive one had: scalars."""
        parts = {}
        if choice != "contrastive":
            parts["task_loss"] = self._task.loss(self.model(**batch), batch)
        if choice == "task":
            return {"loss": parts["task_loss"], **parts}
        pairs = self._task.aligned_pairs(batch, self._settings.pairs)
        parts["contrastive_loss"] = self._contrastive(pairs)
        parts["contrastive_pairs"] = pairs["attention_mask"][:, 0].sum().float()
        if self._settings.learned_temperature:
            parts["temperature"] = self._temperature()
        if choice == "contrastive":
            return {"loss": parts["contrastive_loss"], **parts}
        return {"loss": parts["task_loss"] + self._settings.contrastive_weight * parts["contrastive_loss"], **parts}

    @torch.no_grad()
    def learned(self) -> dict[str, float]:
        return {"temperature": self._temperature().item()} if self._settings.learned_temperature else {}

    def _contrastive(self, pairs: dict[str, Tensor]) -> Tensor:
        """L_CL; 0 for the rare batch with fewer than two aligned pairs, where no pair has a negative."""
        if len(pairs["input_ids"]) < 2:
            return torch.zeros((), device=pairs["input_ids"].device, requires_grad=True)
        text, image = self.model.embed_pairs(**pairs, joint=self._settings.joint_pass)
        return contrastive_loss(text, image, self._temperature())

    def _temperature(self) -> float | Tensor:
        temperature = self._settings.temperature
        return temperature * self.temperature_factor().squeeze() if self._settings.learned_temperature else temperature


class BatchObjective(nn.Module):
    """The plain objective: the loss of one batch."""

    def __init__(self, batch_loss: BatchLoss, choice: LossChoice) -> None:
        super().__init__()
        self.batch_loss = batch_loss
        self._choice = choice

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.batch_loss(batch, self._choice)

    def learned(self) -> dict[str, float]:
        return self.batch_loss.learned()
