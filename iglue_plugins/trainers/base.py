"""What a trainer is: settings, what a training step sees, and an objective."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from pydantic import BaseModel
from torch import nn
from transformers import PreTrainedModel

from iglue_plugins.data.episodes import Steps
from iglue_plugins.data.loading import worker_count
from iglue_plugins.data.processors.base import Processor
from iglue_plugins.data.thread_loading import uses_thread
from iglue_plugins.evaluation.evaluator import make_validator
from iglue_plugins.models.protocols import HasTaskHeads
from iglue_plugins.models.tied_weights import check_tied_weights
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.spec import ExampleSet
from iglue_plugins.trainers.engine import Training, train
from iglue_plugins.trainers.settings.base import TrainerSettings
from iglue_plugins.trainers.spec import TrainerSpec
from iglue_plugins.trainers.training_data import TrainingData
from iglue_plugins.utils.plugin_settings import plugin_settings


class Trainer(TrainerSpec, ABC):
    """A way of training a model on a task.

    A subclass says what a training step sees (`steps`) and what it minimizes (`objective`); `fit` does the rest.

    Args:
        settings: An instance of `Settings`; None takes the defaults.

    Raises:
        TypeError: The settings are no instance of `Settings`, or `Settings` no subclass of TrainerSettings.
    """

    Settings: ClassVar[type[BaseModel]] = TrainerSettings
    settings: TrainerSettings

    def __init__(self, settings: TrainerSettings | None = None) -> None:
        given = plugin_settings(self, settings)
        if not isinstance(given, TrainerSettings):
            raise TypeError(f"{type(self).__name__}.Settings has to be a subclass of TrainerSettings")
        self.settings = given

    @abstractmethod
    def steps(self, data: TrainingData) -> Steps:
        """Make the items of the training.

        Args:
            data: Where the examples are.

        Returns:
            Items 0, 1, ..., each a dict of keyword arguments for the objective; `settings.accumulation` of them make an
            optimizer step. Item i depends on the seed and i alone.
        """

    @abstractmethod
    def objective(self, model: PreTrainedModel, task: Task) -> nn.Module:
        """Make the module that is minimized.

        Args:
            model: The model, which has the task's head.
            task: The task.

        Returns:
            A module that holds `model`. Called with an item of `steps` as keyword arguments, it returns scalars by
            name: "loss", which is minimized, and others, which are logged. It may have a method `learned()`, which
            returns numbers that it has trained beside the model's weights, by name, for the run's record.
        """

    def reads(self, task: Task, source_languages: tuple[str, ...], languages: tuple[str, ...]) -> list[ExampleSet]:
        """List the examples that training reads, which determine its weights.

        Unless a subclass says otherwise, these are the training examples that `trains_on` says, and those that
        validation scores.

        Args:
            task: The task.
            source_languages: The languages that fine-tuning trains on.
            languages: The auxiliary languages.

        Returns:
            The examples, in the order in which training takes the languages.
        """
        trained = source_languages if self.trains_on == "source" else languages
        found = [ExampleSet(task.training_splits[self.trains_on], language) for language in trained]
        if self.settings.validate_every:
            found.append(ExampleSet(task.validation_split, source_languages[0]))
        return found

    def labels_per_step(self, task: Task, languages: int) -> int:
        """Count the labelled examples that an optimizer step uses.

        Args:
            task: The task.
            languages: The number of languages that are trained on.

        Returns:
            The number of labelled examples; 0 unless a subclass says otherwise.
        """
        return 0

    def fit(
        self,
        model: PreTrainedModel,
        processor: Processor,
        task: Task,
        *,
        source_languages: tuple[str, ...] = ("en",),
        auxiliary_languages: tuple[str, ...] = (),
        seed: int = 0,
        folder: Path,
        validation: tuple[str, str] | None = None,
        evaluation_batch_size: int = 256,
    ) -> Training:
        """Train a model in place.

        Args:
            model: The model.
            processor: Its processor.
            task: The task; the model gets its head.
            source_languages: The languages that fine-tuning trains on.
            auxiliary_languages: The languages that meta-training trains on.
            seed: The seed of a new head, of the order of examples and of dropout.
            folder: Where checkpoints and logs go. Training resumes from what an earlier call has left there.
            validation: The split and language that `settings.validate_every` scores; None: the task's validation split
                in the first source language.
            evaluation_batch_size: Examples in a batch of a validation; in retrieval, (caption, image) pairs.

        Returns:
            What the run's record says of the training.

        Raises:
            UserError: There are too few examples, the model's tied weights could not be loaded again, the training
                diverges, or a file cannot be written.
        """
        torch.manual_seed(seed)
        cast("HasTaskHeads", model).set_head(task.head, task.num_labels)
        check_tied_weights(model)
        settings, languages = self.settings, tuple(auxiliary_languages)
        reads = tuple(self.reads(task, source_languages, languages))
        data = TrainingData(task, processor, source_languages, languages, seed, settings.examples, reads)
        split, language = validation or (task.validation_split, source_languages[0])
        validate = None
        if settings.validate_every:
            validate = make_validator(
                task, model, processor, split, language, evaluation_batch_size, settings.workers, self.limit
            )
        objective, steps = self.objective(model, task), self.steps(data)
        return train(
            objective,
            steps if self.limit is None else steps.first(self.limit * settings.accumulation),
            settings,
            seed=seed,
            folder=folder,
            validate=validate,
            workers=worker_count(settings.workers, processor.reads),
            uses_thread=uses_thread(settings.workers, processor.reads),
        )


@dataclass(frozen=True)
class Adapted:
    """A model that is adapted to one language.

    Attributes:
        model: The model.
        processor: Its processor.
        notes: What the run's record says of the adaptation.
    """

    model: PreTrainedModel
    processor: Processor
    notes: dict[str, Any]


class LanguageAdapter(TrainerSpec, ABC):
    """A way of adapting a model to each target language separately; recipes name it as a `trainer`.

    Source languages are evaluated without adaptation.

    Args:
        settings: An instance of `Settings`; None takes the defaults.

    Raises:
        TypeError: The settings are no instance of `Settings`.
    """

    starts_from = "finetune"
    trains_on = "target"
    settings: BaseModel

    def __init__(self, settings: BaseModel | None = None) -> None:
        self.settings = plugin_settings(self, settings)

    def labels_per_step(self, task: Task, languages: int) -> int:
        """Count the labelled examples that an optimizer step uses.

        Args:
            task: The task.
            languages: The number of languages that are trained on.

        Returns:
            The number of labelled examples; 0 unless a subclass says otherwise.
        """
        return 0

    @property
    @abstractmethod
    def summary(self) -> str:
        """What a model is adapted on, as tables say it, such as "on 10 shots"."""

    @abstractmethod
    def reads(self, task: Task, source_languages: tuple[str, ...], languages: tuple[str, ...]) -> list[ExampleSet]:
        """List the examples that adaptation reads.

        Args:
            task: The task.
            source_languages: The languages of the model's fine-tuning.
            languages: The target languages.

        Returns:
            The examples, those of a validation included.
        """

    @abstractmethod
    def check(self, task: Task, language: str) -> None:
        """Check that a language can be adapted to.

        Args:
            task: The task.
            language: The target language.

        Raises:
            UserError: The task lacks the examples that adaptation takes, or a setting does not fit it.
        """

    @abstractmethod
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
        """Adapt a model to a language.

        Args:
            load: Loads the model that adaptation starts from, and its processor, anew at each call.
            task: The task.
            language: The target language.
            source_languages: The languages of the model's fine-tuning.
            seed: The seed of the order of examples and of dropout.
            folder: Where checkpoints go. Adaptation resumes from what an earlier call has left there.
            evaluation_batch_size: Examples in a batch of a validation.

        Returns:
            The adapted model.

        Raises:
            UserError: `check` would raise it, or the training diverges.
        """
