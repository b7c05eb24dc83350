"""Adaptation at test time: the inner loop's contrastive steps on a language's unlabelled images and texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from transformers import PreTrainedModel
from typing_extensions import override

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.episodes import ShuffledExamples
from iglue_plugins.data.processors.base import Processor
from iglue_plugins.models.context import find_context
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.spec import ExampleSet
from iglue_plugins.trainers.base import Adapted, LanguageAdapter
from iglue_plugins.trainers.builtin import ContrastiveAdaptationSpec
from iglue_plugins.trainers.objectives import BatchLoss
from iglue_plugins.trainers.settings.base import ContrastiveSettings
from iglue_plugins.trainers.settings.contrastive_adaptation import ContrastiveAdaptationSettings
from iglue_plugins.utils import distributed
from iglue_plugins.utils.errors import UserError


class ContrastiveAdaptation(ContrastiveAdaptationSpec, LanguageAdapter):
    """XVL-MAML's inner loop on a target language before it is tested: no labels, no dropout, plain gradient steps.

    Weights that the loss does not depend on, such as the task head, stay as they are. Of a model with a context, which
    has been meta-trained by CAVIA, the context alone adapts.
    """

    settings: ContrastiveAdaptationSettings

    @property
    @override
    def summary(self) -> str:
        steps, shots = self.settings.inner_steps, self.settings.shots
        examples = f"the {self.settings.split} split" if shots is None else f"{shots} shots"
        return f"by {steps} contrastive step{'s' if steps > 1 else ''} on {examples} without labels"

    @override
    def reads(self, task: Task, source_languages: tuple[str, ...], languages: tuple[str, ...]) -> list[ExampleSet]:
        return [ExampleSet(self.settings.split, language, self.settings.shots) for language in languages]

    @override
    def check(self, task: Task, language: str) -> None:
        settings = self.settings
        if task.pairs_require_labels(settings.pairs):
            raise UserError(
                f"task {task.name}: trainer.pairs '{settings.pairs}' needs labels, which adaptation at test time does "
                "not use; set trainer.pairs to 'all'"
            )
        examples = len(task.load(settings.split, language, settings.shots))
        if examples < settings.support_size:
            raise UserError(
                f"task {task.name}: trainer.support_size is {settings.support_size}, but split {settings.split} has "
                f"{examples} examples in '{language}'; lower it"
            )

    @override
    def adapt(
        self,
        load: Callable[[], tuple[PreTrainedModel, Processor]],
        task: Task,
        language: str,
        *,
        source_languages: tuple[str, ...],
        seed: int,
        folder: Path,
        evaluation_batch_size: int = 256,
    ) -> Adapted:
        settings, (model, processor) = self.settings, load()
        steps = min(settings.inner_steps, self.limit or settings.inner_steps)
        model.to(distributed.device()).eval()  # type: ignore[arg-type]  # transformers hides the signature of Module.to
        batcher = Batcher(
            task.load(settings.split, language, settings.shots),
            task,
            processor,
            captions=task.pairs_read_captions(settings.pairs),
        )
        examples = ShuffledExamples(batcher, settings.support_size, (seed,))
        loss_of = BatchLoss(
            model,
            task,
            ContrastiveSettings(
                contrastive=settings.contrastive,
                temperature=settings.temperature,
                pairs=settings.pairs,
                same_image_pairs=settings.same_image_pairs,
                joint_pass=settings.joint_pass,
            ),
        )
        loss_of.check("contrastive")
        context, losses = find_context(model), []
        adapted: list[torch.Tensor] = [context[1].values.requires_grad_()] if context else [*model.parameters()]
        for step in range(steps):
            batch = examples.split_batches(step)[0].to(model.device)
            loss = loss_of(batch, "contrastive")["loss"]
            self._descend(adapted, loss)
            losses.append(loss.item())
        if context:
            context[1].values.requires_grad_(False)
        return Adapted(model, processor, {"steps": steps, "first_loss": losses[0], "last_loss": losses[-1]})

    def _descend(self, adapted: list[torch.Tensor], loss: torch.Tensor) -> None:
        parameters = [value for value in adapted if value.requires_grad]
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                if gradient is not None:
                    parameter.sub_(gradient, alpha=self.settings.inner_lr)
