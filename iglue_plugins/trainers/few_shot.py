"""Few-shot fine-tuning: a model for each language, from a few labelled examples of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel
from typing_extensions import override

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.processors.base import Processor
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.spec import ExampleSet
from iglue_plugins.trainers.base import Adapted, LanguageAdapter
from iglue_plugins.trainers.builtin import FewShotSpec
from iglue_plugins.trainers.finetune import Finetune
from iglue_plugins.trainers.settings.finetune import FewShotSettings
from iglue_plugins.trainers.training_data import TrainingData


class FewShot(FewShotSpec, Finetune, LanguageAdapter):
    """Fine-tuning on a language's few examples with each learning rate, of which validation chooses one.

    Source: IGLUE's few-shot protocol (Bugliarello et al. 2022, section 4.2, and its scripts): 20 epochs, learning rates
    1e-4, 5e-5 and 1e-5.
    """

    settings: FewShotSettings

    @property
    @override
    def summary(self) -> str:
        return f"on {self.settings.shots} shots"

    @override
    def _batchers(self, data: TrainingData) -> dict[str, Batcher]:
        return data.batchers("few_shot", self.settings.shots, captions=self.reads_captions(data.task))

    @override
    def reads(self, task: Task, source_languages: tuple[str, ...], languages: tuple[str, ...]) -> list[ExampleSet]:
        found = []
        for language in languages:
            found.append(ExampleSet(task.training_splits["few_shot"], language, self.settings.shots))
            if self.settings.validate_every:
                found.append(ExampleSet(*task.few_shot_validation(language, source_languages[0])))
        return found

    @override
    def check(self, task: Task, language: str) -> None:
        task.load(task.training_splits["few_shot"], language, self.settings.shots)

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
        validation = task.few_shot_validation(language, source_languages[0])
        best: Adapted | None = None
        best_score = -math.inf
        for rate in self.settings.learning_rates:
            model, processor = load()
            trainer = type(self)(self.settings.model_copy(update={"learning_rate": rate}))
            trainer.limit = self.limit
            training = trainer.fit(
                model,
                processor,
                task,
                source_languages=source_languages,
                auxiliary_languages=(language,),
                seed=seed,
                folder=folder / f"learning-rate-{rate:g}",
                validation=validation,
                evaluation_batch_size=evaluation_batch_size,
            )
            notes: dict[str, Any] = {"learning_rate": rate, "steps": training.steps}
            score = 0.0  # of the only rate where nothing is validated
            if training.best is not None:
                notes["validation"], score = training.best, training.best["score"]
            if score > best_score:
                best, best_score = Adapted(model, processor, notes), score
        assert best is not None  # FewShotSettings has at least one learning rate
        return best
