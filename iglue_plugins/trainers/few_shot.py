"""Few-shot fine-tuning: a model for each language, from a few labelled examples of it (IGLUE's few-shot protocol)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from iglue_plugins.data.batching import Batcher
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.base import Adapted, LanguageAdapter, TrainingData
from iglue_plugins.trainers.builtin import FewShotSpec
from iglue_plugins.trainers.finetune import Finetune


class FewShot(FewShotSpec, Finetune, LanguageAdapter):
    """Fine-tunes on the language's few examples with each learning rate, and keeps what validates best.

    Source: Bugliarello et al. 2022, section 4.2, and IGLUE's scripts: 20 epochs, learning rates 1e-4, 5e-5 and 1e-5.
    """

    @property
    def summary(self) -> str:
        return f"on {self.settings.shots} shots"

    def batchers(self, data: TrainingData) -> dict[str, Batcher]:
        return data.batchers("few_shot", self.settings.shots)

    def check(self, task: Task, language: str) -> None:
        task.load(task.training_splits["few_shot"], language, self.settings.shots)

    def adapt(
        self,
        load: Callable[[], tuple[PreTrainedModel, PreTrainedTokenizerBase]],
        task: Task,
        language: str,
        *,
        source_language: str,
        seed: int,
        folder: Path,
    ) -> Adapted:
        validation = task.few_shot_validation(language, source_language)
        best: Adapted | None = None
        for rate in self.settings.learning_rates:
            model, tokenizer = load()
            trainer = type(self)(self.settings.model_copy(update={"learning_rate": rate}))
            training = trainer.fit(
                model,
                tokenizer,
                task,
                source_language=source_language,
                auxiliary_languages=(language,),
                seed=seed,
                folder=folder / f"learning-rate-{rate:g}",
                validation=validation,
            )
            if best is None or training.best["score"] > best.notes["validation"]["score"]:
                best = Adapted(
                    model, tokenizer, {"learning_rate": rate, "steps": training.steps, "validation": training.best}
                )
        return best
