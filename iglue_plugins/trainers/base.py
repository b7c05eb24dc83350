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
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.episodes import Steps
from iglue_plugins.data.regions import RegionLayout
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.engine import Training, train
from iglue_plugins.utils.errors import UserError


class TrainerSettings(BaseModel):
    """Settings that every trainer has: the optimiser's and the loop's."""

    model_config = ConfigDict(extra="forbid")
    fingerprint_exclude: ClassVar[frozenset[str]] = frozenset({"save_every", "log_every"})  # no effect on the weights

    steps: int = Field(1000, ge=1, description="optimiser steps")
    learning_rate: float = Field(2e-5, gt=0, description="peak learning rate of AdamW (of the outer loop, for MAML)")
    warmup: float = Field(0.1, ge=0, le=1, description="share of the steps over which the learning rate rises")
    weight_decay: float = Field(1e-4, ge=0, description="of weight matrices; biases and LayerNorms have none")
    clip_norm: float = Field(1.0, ge=0, description="largest norm of the gradient; 0 does not clip")
    accumulation: int = Field(1, ge=1, description="batches or episodes whose gradients are averaged for one step")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 where a GPU has it")
    examples: int | None = Field(None, ge=1, description="use only so many training examples a language")
    validate_every: int | Literal["epoch"] | None = Field(
        None, description="steps between validations, of which the best weights are kept; null: keep the last weights")
    save_every: int = Field(200, ge=1, description="steps between checkpoints to resume from")
    log_every: int = Field(10, ge=1, description="steps between logged losses")


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
            raise UserError(f"task {self.task.name}: found no auxiliary_languages, expected at least one of "
                            f"{', '.join(choices)}")
        split = self.task.training_splits[trains_on]
        examples = {language: self._training_examples(split, language, shots) for language in languages}
        return {language: Batcher(own, self.task, self.tokenizer, self.layout) for language, own in examples.items()}

    def _training_examples(self, split: str, language: str, shots: int | str | None) -> Dataset:
        dataset = self.task.load(split, language, shots)
        if self.examples is None or self.examples >= len(dataset):
            return dataset
        return dataset.shuffle(seed=self.seed).select(range(self.examples))


class Trainer(ABC):
    """A way of training a model on a task. A subclass says what a step sees and builds the objective.

    The objective is an nn.Module; called with a step's item as keyword arguments it returns a dict with a scalar
    'loss' to minimise, and further scalars to log. It may have a method `learned()`, which gives the numbers that it has
    trained beside the model's weights, by name, for the run's record. `fit` runs any objective.
    """

    Settings: ClassVar[type[TrainerSettings]] = TrainerSettings
    starts_from: ClassVar[Literal["model", "finetune"]] = "model"
    trains_on: ClassVar[Literal["source", "auxiliary", "target"]] = "source"  # target: see LanguageAdapter

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
            task, tokenizer, source_language, tuple(auxiliary_languages), seed, self.settings.examples,
            task.region_layout(model.config))
        split, language = validation or (task.validation_split, source_language)
        validate = partial(task.validate, model, tokenizer, split, language) if self.settings.validate_every else None
        return train(self.objective(model, task), self.steps(data), self.settings, seed=seed, folder=folder,
                     validate=validate)


@dataclass(frozen=True)
class Adapted:
    """A model of one language, and what the run's record says of it."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    notes: dict[str, Any]


class LanguageAdapter(ABC):
    """Makes a model of its own for each evaluated language from the one that it starts from; in recipes a `trainer`.

    The source language is evaluated as it is.
    """

    Settings: ClassVar[type[BaseModel]]
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
        self, load: Callable[[], tuple[PreTrainedModel, PreTrainedTokenizerBase]], task: Task, language: str, *,
        source_language: str, seed: int, folder: Path,
    ) -> Adapted:
        """Adapt a model that `load` gives, anew each time. Called again with the same folder, it resumes."""
