"""XVL-MAML: MAML on auxiliary languages whose inner loop minimises a contrastive image-text loss."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.func import functional_call
from transformers import PreTrainedModel

from iglue_plugins.data.episodes import Steps, episode_steps
from iglue_plugins.errors import UserError
from iglue_plugins.registry import trainers
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.base import Trainer, TrainingData
from iglue_plugins.trainers.maml import Parameters, adapt, attention_for
from iglue_plugins.trainers.objectives import BatchLoss, ContrastiveSettings, LossChoice


class XVLMAMLSettings(ContrastiveSettings):
    support_size: int = Field(16, ge=1, description="examples of an episode that the inner loop adapts on")
    query_size: int = Field(16, ge=1, description="examples of an episode that the outer loop learns from")
    inner_lr: float = Field(1e-3, ge=0, description="learning rate of the inner loop; 0: no inner step (a control)")
    inner_steps: int = Field(1, ge=1, description="gradient steps of the inner loop")
    inner_loss: LossChoice = Field("contrastive", description="what the inner loop minimises on the support batch")
    outer_loss: LossChoice = Field("both", description="what the outer loop minimises on the query batch")
    supervised: bool = Field(True, description="false: no labels of the auxiliary languages, outer_loss 'contrastive'")
    first_order: bool = Field(False, description="true: inner gradients count as constants (FOMAML)")

    @model_validator(mode="before")
    @classmethod
    def _unsupervised_outer_loss(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("supervised") is False:
            return {"outer_loss": "contrastive", **values}
        return values

    @model_validator(mode="after")
    def _check_combination(self) -> XVLMAMLSettings:
        losses = {"inner_loss": self.inner_loss, "outer_loss": self.outer_loss}
        if not self.supervised:
            for name, loss in losses.items():
                if loss != "contrastive":
                    raise ValueError(f"{name} is '{loss}', expected 'contrastive' with supervised: false")
            if self.pairs == "aligned":
                raise ValueError("pairs is 'aligned', which needs labels, expected 'caption' or 'all' with "
                                 "supervised: false")
        for name, size in (("inner_loss", "support_size"), ("outer_loss", "query_size")):
            if losses[name] != "task" and getattr(self, size) < 2:
                raise ValueError(f"{size} is {getattr(self, size)}, expected at least 2: the contrastive loss takes "
                                 "its negatives from the batch")
        return self


class MetaObjective(nn.Module):
    """The sum over the episodes (one for each auxiliary language) of the outer loss at the adapted parameters."""

    def __init__(self, batch_loss: BatchLoss, settings: XVLMAMLSettings) -> None:
        super().__init__()
        self.batch_loss = batch_loss
        self.is_logging = True  # the engine clears it on steps whose scalars nobody reads
        self._settings = settings

    def forward(self, episodes: list[dict[str, Any]]) -> dict[str, Tensor]:
        """episodes: dicts with 'language', 'support' and 'query' (batches). Returns 'loss' and scalars to log."""
        second_order = not self._settings.first_order and self._settings.inner_lr > 0
        with attention_for(second_order):
            outcomes = [self._episode(episode, second_order) for episode in episodes]
        logged = {key: torch.stack([outcome[key].detach() for outcome in outcomes]).mean() for key in outcomes[0]}
        return {**logged, "loss": torch.stack([outcome["loss"] for outcome in outcomes]).sum()}

    def _episode(self, episode: dict[str, Any], second_order: bool) -> dict[str, Tensor]:
        settings, support = self._settings, episode["support"]
        parameters = {name: value for name, value in self.batch_loss.named_parameters() if value.requires_grad}

        def inner_loss(at: Parameters) -> Tensor:
            return self._loss(at, support, settings.inner_loss)["loss"]

        inner = {}
        if settings.inner_lr > 0:
            parameters, before = adapt(inner_loss, parameters, steps=settings.inner_steps,
                                       learning_rate=settings.inner_lr, second_order=second_order)
            inner["inner_loss_before"] = before
            if self.is_logging:
                # What is only logged draws its dropout aside, so that log_every does not change the weights.
                with torch.no_grad(), torch.random.fork_rng([before.device] if before.is_cuda else []):
                    inner["inner_loss_after"] = inner_loss(parameters)
        return {**self._loss(parameters, episode["query"], settings.outer_loss), **inner}

    def _loss(self, parameters: Parameters, batch: dict[str, Tensor], choice: LossChoice) -> dict[str, Tensor]:
        return functional_call(self.batch_loss, parameters, (batch, choice))


@trainers.register("xvl_maml")
class XVLMAML(Trainer):
    """Meta-training of the English model on the auxiliary languages (the paper's method; docs/method.md)."""

    Settings = XVLMAMLSettings
    starts_from = "finetune"
    trains_on = "auxiliary"

    def steps(self, data: TrainingData) -> Steps:
        count = self.settings.steps * self.settings.accumulation
        return episode_steps(data.batchers(self.trains_on), self.settings.support_size, self.settings.query_size,
                             count, data.seed)

    def objective(self, model: PreTrainedModel, task: Task) -> nn.Module:
        if not self.settings.supervised and (self.settings.pairs or task.default_pairs) == "aligned":
            raise UserError(f"task {task.name}: found pairs 'aligned', its default, which needs labels, expected "
                            "trainer.pairs 'caption' or 'all' with supervised: false")
        return MetaObjective(BatchLoss(model, task, self.settings), self.settings)

    def labels_per_step(self, task: Task, languages: int) -> int:
        """Of the support and query batches, those whose loss, or whose choice of aligned pairs, takes labels."""
        settings = self.settings
        labelled_pairs = (settings.pairs or task.default_pairs) == "aligned"
        labelled_support = settings.inner_lr > 0 and (settings.inner_loss != "contrastive" or labelled_pairs)
        labelled_query = settings.outer_loss != "contrastive" or labelled_pairs
        labels = labelled_support * settings.support_size + labelled_query * settings.query_size
        return languages * settings.accumulation * labels
