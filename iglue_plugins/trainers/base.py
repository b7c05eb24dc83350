"""What a trainer plugin is: settings, what one step sees, and an objective."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from datasets import Dataset
from pydantic import BaseModel
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.episodes import Steps
from iglue_plugins.data.regions import RegionLayout
from iglue_plugins.evaluation.evaluator import validation_score
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.engine import Training, train
from iglue_plugins.trainers.settings.base import TrainerSettings
from iglue_plugins.trainers.spec import TrainerSpec
from iglue_plugins.utils.errors import UserError


@dataclass(frozen=True)
class TrainingData:
    """Where a trainer finds its examples."""

    task: Task
    tokenizer: PreTrainedTokenizerBase
    source_language: str
    auxiliary_languages: tuple[str, ...]
    seed: int
    examples: int | None = None
    layout: RegionLayout = RegionLayout()

    def batchers(self, trains_on: str, shots: int | str | None = None) -> dict[str, Batcher]:
        """A batcher for each language of the kind over its training examples.

        trains_on: 'source'; 'auxiliary' or 'few_shot' (with shots): the auxiliary languages.
        """
        languages = (self.source_language,) if trains_on == "source" else self.auxiliary_languages
        if not languages:
            choices = sorted(set(self.task.languages) - {self.source_language})
            raise UserError(
                f"task {self.task.name}: found no auxiliary_languages, expected at least one of {', '.join(choices)}"
            )
        split = self.task.training_splits[trains_on]
        examples = {language: self._training_examples(split, language, shots) for language in languages}
        return {language: Batcher(own, self.task, self.tokenizer, self.layout) for language, own in examples.items()}

    def _training_examples(self, split: str, language: str, shots: int | str | None) -> Dataset:
        dataset = self.task.load(split, language, shots)
        if self.examples is None or self.examples >= len(dataset):
            return dataset
        return dataset.shuffle(seed=self.seed).select(range(self.examples))


class Trainer(TrainerSpec, ABC):
    """A way of training a model on a task. A subclass says what a step sees and builds the objective.

    The objective is an nn.Module; called with a step's item as keyword arguments it returns a dict with a scalar
    'loss' to minimise, and further scalars to log. It may have a method `learned()`, which gives the numbers that it has
    trained beside the model's weights, by name, for the run's record. `fit` runs any objective.
    """

    Settings: ClassVar[type[TrainerSettings]] = TrainerSettings

    def __init__(self, settings: TrainerSettings | None = None) -> None:
        self.settings = settings or self.Settings()

    @abstractmethod
    def steps(self, data: TrainingData) -> Steps:
        """Items 0, 1, ... of the training, accumulation * steps of them: keyword arguments for the objective."""

    @abstractmethod
    def objective(self, model: PreTrainedModel, task: Task) -> nn.Module:
        """The module to minimise; it holds `model`, whose parameters are trained."""

    def labels_per_step(self, task: Task, languages: int) -> int:
        """Labelled examples of `languages` auxiliary languages, or of the source one, that one optimiser step uses."""
        return 0

    def fit(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        task: Task,
        *,
        source_language: str = "en",
        auxiliary_languages: tuple[str, ...] = (),
        seed: int = 0,
        folder: Path,
        validation: tuple[str, str] | None = None,
    ) -> Training:
        """Train `model` in place. Checkpoints and logs go to `folder`; called again with it, training resumes.

        validation: the split and language that `validate_every` scores; default: the source language's.
        """
        torch.manual_seed(seed)
        model.set_head(task.head, task.num_labels)
        data = TrainingData(
            task,
            tokenizer,
            source_language,
            tuple(auxiliary_languages),
            seed,
            self.settings.examples,
            task.region_layout(model.config),
        )
        split, language = validation or (task.validation_split, source_language)
        validate = None
        if self.settings.validate_every:
            validate = partial(validation_score, task, model, tokenizer, split, language)
        return train(
            self.objective(model, task), self.steps(data), self.settings, seed=seed, folder=folder, validate=validate
        )


@dataclass(frozen=True)
class Adapted:
    """A model of one language, and what the run's record says of it."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    notes: dict[str, Any]


class LanguageAdapter(TrainerSpec, ABC):
    """Makes a model of its own for each evaluated language from the one that it starts from; in recipes a `trainer`.

    The source language is evaluated as it is.
    """

    starts_from: ClassVar[Literal["model", "finetune"]] = "finetune"
    trains_on: ClassVar[Literal["target"]] = "target"

    def __init__(self, settings: BaseModel) -> None:
        self.settings = settings

    def labels_per_step(self, task: Task, languages: int) -> int:
        """As of a Trainer."""
        return 0

    @property
    @abstractmethod
    def summary(self) -> str:
        """What a model is adapted on, for tables: 'on 10 shots', say."""

    @abstractmethod
    def check(self, task: Task, language: str) -> None:
        """Raise a UserError where the task has not what adapting to the language takes."""

    @abstractmethod
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
        """Adapt a model that `load` gives, anew each time. Called again with the same folder, it resumes."""
