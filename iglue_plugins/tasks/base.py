"""The base class of tasks: their examples, head, loss and score, without a training loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from torch.nn import functional

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.data.image_kind import ImageKind
from iglue_plugins.data.pictures.source import PictureSource
from iglue_plugins.data.regions import RegionStore
from iglue_plugins.tasks.counts import ExampleCounts
from iglue_plugins.tasks.pairs import ContrastivePairs
from iglue_plugins.tasks.settings import TaskSettings
from iglue_plugins.tasks.spec import TaskSpec
from iglue_plugins.utils.errors import UserError, did_you_mean
from iglue_plugins.utils.plugin_settings import plugin_settings


class Task(ContrastivePairs, ExampleCounts, TaskSpec, ABC):
    """A task on one or two images and a text, in several languages.

    Subclasses define where examples come from (`load`), where their images come from, as region features, as pictures,
    or as both (`regions`, `pictures`), and what kind of task it is.
    An example is a row with `id` (str), `image_ids` (list of str), `text`, `language`, `label` (one of the task's
    labels, as a word) and, where there is one, `caption`: a text that describes the image in the example's language.

    Shapes below use B examples of k = `rows_per_example` rows each, and C classes.

    Args:
        settings: The settings from the recipe; default: those of a recipe without any.

    Raises:
        TypeError: The settings are no instance of `Settings`.

    Attributes:
        training_splits: The split that trainers take examples from, by their purpose: "source", "auxiliary" or
            "few_shot".
        validation_split: The split that chooses the best weights.
        head: The kind of the model's head, one of `HeadKind`.
        labels: The labels, in the order of the model's outputs.
        evaluation: Whether examples are classified, or images and captions are ranked.
        main_metric: The name of the metric in tables.
        max_text_length: The number of tokens to which a text is truncated.
        max_boxes: The number of regions kept of an image; None keeps all.
        global_region_takes_a_box: Whether a model's global region counts among `max_boxes`.
    """

    training_splits: ClassVar[dict[str, str]] = {"source": "train", "auxiliary": "auxiliary", "few_shot": "auxiliary"}
    validation_split: ClassVar[str] = "dev"
    head: ClassVar[str]
    labels: tuple[str, ...]
    evaluation: ClassVar[Literal["classification", "retrieval"]] = "classification"
    main_metric: ClassVar[str] = "accuracy"
    max_text_length: int = 80
    max_boxes: int | None = None
    global_region_takes_a_box: ClassVar[bool] = False

    def __init__(self, settings: TaskSettings | None = None) -> None:
        self.settings = plugin_settings(self, settings)

    @abstractmethod
    def load(self, split: str, language: str, shots: int | str | None = None) -> Dataset:
        """Load the examples of a split in a language.

        Args:
            split: One of `splits`.
            language: One of `languages`.
            shots: The number of shots of a few-shot split; None for other splits.

        Returns:
            The examples, always in the same order.

        Raises:
            UserError: There is no such split, language or number of shots, or its file is missing or damaged.
        """

    @property
    def regions(self) -> RegionStore:
        """The region features of all images of the examples that have been loaded.

        Raises:
            UserError: The task has no region features.
        """
        raise UserError(f"task {self.name} has no region features, only pictures")

    def available_splits(self) -> Iterator[tuple[str, str, tuple[int | str | None, ...]]]:
        """List the splits with their languages and numbers of shots.

        Yields:
            A split, one of its languages, and its numbers of shots there; (None,) for a split without shots.

        Raises:
            UserError: Examples are damaged or have wrong values, and would have to be read for it.
        """
        yield from ((split, language, (None,)) for split in self.splits for language in self.languages)

    def count_table(self) -> list[str]:
        """Return a table of the number of examples by split and language, a line each; none unless a subclass has one.

        Raises:
            UserError: Examples are damaged or have wrong values; the message has a line for each.
        """
        return []

    @property
    def image_kinds(self) -> tuple[ImageKind, ...]:
        """What files the task has of its images, some of which may be missing; by default region features."""
        return ("regions",)

    @property
    def pictures(self) -> PictureSource:
        """The pictures of the task's images.

        Raises:
            UserError: The task has no pictures.
        """
        raise UserError(f"task {self.name} has no pictures, only region features")

    def stores_of(self, split: str, language: str, shots: int | str | None = None) -> list[str]:
        """List the region stores of the images of examples, which may be known without the examples.

        Args:
            split: One of `splits`.
            language: One of `languages`.
            shots: The number of shots of a few-shot split; None for other splits.

        Returns:
            The names of stores; none unless a subclass has some.

        Raises:
            UserError: The task has no such split, language or number of shots.
        """
        return []

    def where_to_get(self, store: str) -> str:
        """Say where the region features of a store come from, for the end of an error.

        Args:
            store: The name of the store.

        Returns:
            "; ..." with an address, or "" where there is nothing to say.
        """
        return ""

    @abstractmethod
    def fingerprint(self, split: str, language: str, shots: int | str | None = None) -> str:
        """Return a hash that changes whenever the data behind examples change, as `load` and `regions` give them.

        Runs that read none of these examples do not depend on it.

        Args:
            split: One of `splits`.
            language: One of `languages`.
            shots: The number of shots of a few-shot split; None for other splits.
        """

    def check_split_language(self, split: str, language: str) -> None:
        """Check that the task has a split and a language.

        Args:
            split: The name of the split.
            language: The code of the language.

        Raises:
            UserError: The task does not have one of them.
        """
        for kind, name, choices in (("split", split, self.splits), ("language", language, self.languages)):
            if name not in choices:
                raise UserError(f"task {self.name} has no {kind} '{name}'{did_you_mean(name, choices)}")

    # Examples to rows

    def rows(
        self, examples: np.ndarray, batcher: Batcher, rng: np.random.Generator | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Choose the (text, image) rows of a batch.

        Args:
            examples: (B,) int64, positions of examples in the batcher.
            batcher: The batcher of the examples.
            rng: The generator for what is drawn anew in each batch, such as wrong captions; None draws the same again.

        Returns:
            Two (B * k,) int64 arrays, in which the rows of an example are adjacent: the position of the example whose
            text the row has, and the position of its image. The rows of an example begin with its own pairs, one for
            each of its images.
        """
        image_positions = batcher.images[examples]
        return np.repeat(examples, image_positions.shape[1]), image_positions.ravel()

    def targets(self, labels: Sequence[str]) -> Tensor:
        """Convert labels to class indices.

        Args:
            labels: The label of each example, as a word.

        Returns:
            (examples,) int64.

        Raises:
            UserError: A label is none of the task's.
        """
        index = {label: i for i, label in enumerate(self.labels)}
        unknown = sorted(set(labels) - set(index))
        if unknown:
            raise UserError(f"task {self.name} has no label '{unknown[0]}'{did_you_mean(unknown[0], index)}")
        return torch.tensor([index[label] for label in labels])

    # Logits to loss and predictions

    @property
    def num_labels(self) -> int:
        """The number of classes C."""
        return len(self.labels)

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Compute the binary cross-entropy over one-hot targets, averaged over examples and classes.

        Args:
            logits: (B, C) floating point.
            batch: The batch, of which `labels` (B,) int64 is used.

        Returns:
            A scalar.

        Source:
            VOLTA's loss for the classification tasks of IGLUE.
        """
        targets = functional.one_hot(batch.labels, self.num_labels).to(logits.dtype)
        return functional.binary_cross_entropy_with_logits(logits, targets)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Compute the probability that `loss` trains of each label by itself, so that they need not add up to 1.

        Args:
            logits: (B, C) floating point.

        Returns:
            (B, C) float64, in the order of the logits.
        """
        return logits.double().sigmoid()

    def predict(self, logits: Tensor) -> list[str]:
        """Return the most probable label of each example.

        Args:
            logits: (B, C) floating point.

        Returns:
            B labels, as words.
        """
        return [self.labels[i] for i in logits.argmax(-1).tolist()]

    def score(self, predictions: Sequence[str], labels: Sequence[str]) -> tuple[list[float], dict[str, float]]:
        """Score predicted labels.

        Args:
            predictions: The predicted label of each example.
            labels: The label of each example.

        Returns:
            A score in [0, 1] for each example, and the metrics in percent, `main_metric` among them.
        """
        scores = [float(prediction == label) for prediction, label in zip(predictions, labels, strict=True)]
        return scores, {"accuracy": float(100 * np.sum(scores) / len(scores))}

    def few_shot_validation(self, language: str, source_language: str) -> tuple[str, str]:
        """Return the data that choose the best weights of few-shot fine-tuning.

        Args:
            language: The language that is fine-tuned on.
            source_language: The source language.

        Returns:
            A split and a language; by default the validation split in the source language.
        """
        return self.validation_split, source_language
