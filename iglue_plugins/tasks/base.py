"""What a task is: its examples, its head, its loss and its score; no training loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from torch import Tensor
from torch.nn import functional

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.regions import RegionLayout, RegionStore
from iglue_plugins.tasks.settings import PairChoice, TaskSettings
from iglue_plugins.tasks.spec import TaskSpec
from iglue_plugins.utils.errors import UserError, did_you_mean


class Task(TaskSpec, ABC):
    """A task of image(s) and text in several languages.

    Subclasses say where examples and region features come from (`load`, `regions`) and what kind of task it is.
    An example is a row with id (str), image_ids (list of str), text, language, label (the task's own, as a word) and,
    where there is one, caption: a text that describes the image in the example's language.
    """

    training_splits: ClassVar[dict[str, str]] = {"source": "train", "auxiliary": "auxiliary", "few_shot": "auxiliary"}
    validation_split: ClassVar[str] = "dev"
    head: ClassVar[str]  # a kind of head that the models know
    labels: tuple[str, ...]
    evaluation: ClassVar[Literal["classification", "retrieval"]] = "classification"
    rows_per_example: ClassVar[int] = 1
    main_metric: ClassVar[str] = "accuracy"
    max_text_length: int = 80
    max_boxes: int | None = None  # regions kept of an image
    global_region_takes_a_box: ClassVar[bool] = False  # where a model has one, it counts among max_boxes
    default_pairs: ClassVar[PairChoice] = "all"
    captions_reveal_labels: ClassVar[bool] = False  # as a question with its answer does

    def __init__(self, settings: TaskSettings | None = None) -> None:
        self.settings = settings or self.Settings()

    @abstractmethod
    def load(self, split: str, language: str, shots: int | str | None = None) -> Dataset:
        """The examples of a split in a language, in a fixed order; `shots` limits few-shot splits."""

    @property
    @abstractmethod
    def regions(self) -> RegionStore:
        """Region features of every image that `load` names so far."""

    def picture(self, image_id: str) -> Image.Image:
        """The image itself, where the task has it."""
        raise UserError(f"task {self.name} has no pictures, only region features")

    @abstractmethod
    def fingerprint(self) -> str:
        """Changes whenever the data that `load` and `regions` give change, at least those that training takes."""

    def evaluation_fingerprint(self, split: str, language: str) -> str:
        """Changes whenever the data that a split's scores in a language come from change."""
        return self.fingerprint()

    def check(self, split: str, language: str) -> None:
        for kind, found, choices in (("split", split, self.splits), ("language", language, self.languages)):
            if found not in choices:
                raise UserError(f"task {self.name}: found {kind} '{found}'{did_you_mean(found, choices)}")

    def region_layout(self, config: object) -> RegionLayout:
        """How a model with this configuration reads the task's regions; xUNITER's way where it does not say."""
        global_region = getattr(config, "global_region", True)
        extra = global_region and not self.global_region_takes_a_box
        max_regions = None if self.max_boxes is None else self.max_boxes + extra
        return RegionLayout(global_region, getattr(config, "region_location_size", 5), max_regions)

    # Examples to rows

    def rows(
        self, examples: np.ndarray, batcher: Batcher, rng: np.random.Generator | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The (text, image) rows of a batch: for each of them the example whose text it has, and its image.

        examples: int64 (B,), positions in the batcher. rng: for what is drawn anew each time (wrong captions, say).
        Returns two int64 arrays (B * rows_per_example,), the rows of an example next to each other.
        """
        own = batcher.images[examples]
        return np.repeat(examples, own.shape[1]), own.ravel()

    def targets(self, labels: Sequence[str]) -> Tensor:
        """Labels (words) as class indices, int64 (examples,)."""
        index = {label: i for i, label in enumerate(self.labels)}
        unknown = sorted(set(labels) - set(index))
        if unknown:
            raise UserError(f"task {self.name}: found label '{unknown[0]}'{did_you_mean(unknown[0], index)}")
        return torch.tensor([index[label] for label in labels])

    # Logits to loss and predictions

    @property
    def num_labels(self) -> int:
        return len(self.labels)

    def loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Binary cross-entropy over one-hot targets, the mean over examples and classes (VOLTA's for IGLUE).

        logits: (B, classes); batch['labels']: int64 (B,). Returns a scalar.
        """
        targets = functional.one_hot(batch["labels"], self.num_labels).to(logits.dtype)
        return functional.binary_cross_entropy_with_logits(logits, targets)

    def predict(self, logits: Tensor) -> list[str]:
        """The most probable label of each example. logits: (B, classes)."""
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
        return scores, {"accuracy": float(100 * np.mean(scores))}

    def few_shot_validation(self, language: str, source_language: str) -> tuple[str, str]:
        """The split and language that choose the best weights of few-shot fine-tuning: the source language's."""
        return self.validation_split, source_language

    # Image-text pairs for the contrastive loss

    def is_aligned(self, labels: Tensor) -> Tensor:
        """Which examples' own texts describe their images: bool (B,) from labels int64 (B,)."""
        return torch.ones_like(labels, dtype=torch.bool)

    @classmethod
    def pairs_require_labels(cls, pairs: PairChoice | None = None) -> bool:
        """Whether making these pairs takes the examples' labels."""
        pairs = pairs or cls.default_pairs
        return pairs == "aligned" or (pairs == "caption" and cls.captions_reveal_labels)

    def aligned_pairs(self, batch: dict[str, Tensor], pairs: PairChoice | None = None) -> dict[str, Tensor]:
        """The batch's image-text pairs for a contrastive loss, as P rows of a batch without labels.

        pairs: 'caption' pairs each image with its caption; 'aligned' keeps the examples whose own text describes the
        image; 'all' keeps every example. Several images of one example count as one image side.
        """
        pairs = pairs or self.default_pairs
        if pairs == "caption":
            if "caption_input_ids" not in batch:
                raise UserError(
                    f"task {self.name} has no captions for trainer.pairs 'caption', expected 'aligned' or 'all'"
                )
            texts = {key: batch[f"caption_{key}"] for key in ("input_ids", "attention_mask")}
        else:
            texts = {key: batch[key][:: self.rows_per_example] for key in ("input_ids", "attention_mask")}
        regions = self.contrastive_image_inputs(
            {key: batch[key] for key in ("region_features", "region_locations", "region_mask")}
        )
        rows = {**texts, **regions}
        if pairs == "aligned":
            keep = self.is_aligned(batch["labels"])
            rows = {key: value[keep] for key, value in rows.items()}
        return rows

    def contrastive_image_inputs(self, regions: dict[str, Tensor]) -> dict[str, Tensor]:
        """The regions that stand for each example's image in a contrastive loss: (B * k, R, ...) to (B, ...)."""
        return {key: value[:: self.rows_per_example] for key, value in regions.items()}
