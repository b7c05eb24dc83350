"""Few-shot fine-tuning: a model for each language, from a few labelled examples of it (IGLUE's few-shot protocol)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import Field
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from iglue_plugins.data.batching import Batcher
from iglue_plugins.registry import trainers
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.base import Adapted, LanguageAdapter, TrainingData
from iglue_plugins.trainers.finetune import Finetune, FinetuneSettings


class FewShotSettings(FinetuneSettings):
    shots: int | str = Field(description="labelled examples, or images with theirs, as the task counts them")
    learning_rate: None = Field(None, description="see learning_rates")
    learning_rates: tuple[float, ...] = Field(
        (1e-4, 5e-5, 1e-5), min_length=1, description="all tried; validation chooses")
    epochs: int = Field(20, ge=1, description="passes over the few examples")
    batch_size: int = Field(16, ge=1, description="examples a batch")
    validate_every: int | Literal["epoch"] = Field(
        "epoch", description="steps between validations, of which the best weights are kept")


@trainers.register("few_shot")
class FewShot(Finetune, LanguageAdapter):
    """Fine-tunes on the language's few examples with each learning rate, and keeps what validates best.

    Source: Bugliarello et al. 2022, section 4.2, and IGLUE's scripts: 20 epochs, learning rates 1e-4, 5e-5 and 1e-5.
    """

    Settings = FewShotSettings
    starts_from = "finetune"
    trains_on = "target"

    @property
    def summary(self) -> str:
        return f"on {self.settings.shots} shots"

    def batchers(self, data: TrainingData) -> dict[str, Batcher]:
        return data.batchers("few_shot", self.settings.shots)

    def check(self, task: Task, language: str) -> None:
        task.load(task.training_splits["few_shot"], language, self.settings.shots)

    def adapt(
        self, load: Callable[[], tuple[PreTrainedModel, PreTrainedTokenizerBase]], task: Task, language: str, *,
        source_language: str, seed: int, folder: Path,
    ) -> Adapted:
        validation = task.few_shot_validation(language, source_language)
        best: Adapted | None = None
        for rate in self.settings.learning_rates:
            model, tokenizer = load()
            trainer = type(self)(self.settings.model_copy(update={"learning_rate": rate}))
            training = trainer.fit(
                model, tokenizer, task, source_language=source_language, auxiliary_languages=(language,), seed=seed,
                folder=folder / f"learning-rate-{rate:g}", validation=validation)
            if best is None or training.best["score"] > best.notes["validation"]["score"]:
                best = Adapted(model, tokenizer, {
                    "learning_rate": rate, "steps": training.steps, "validation": training.best})
        return best
