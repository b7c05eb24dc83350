"""Batches of a task's examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any, Protocol

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor

from iglue_plugins.data.columns import BlockwiseColumn
from iglue_plugins.data.inputs import Inputs, move
from iglue_plugins.data.processors.base import ImageFacts, PreparedTexts, Processor
from iglue_plugins.utils.errors import UserError


class BatchedTask(ImageFacts, Protocol):
    """Declares the part of a task that a batcher uses; `iglue_plugins.tasks.base.Task` is such a task."""

    @property
    def num_labels(self) -> int:
        """Returns the number of classes."""

    def rows(
        self, examples: np.ndarray, batcher: Any, rng: np.random.Generator | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Choose the (text, image) rows of a batch.

        Args:
            examples: (B,) int64, positions of examples.
            batcher: The batcher of the examples.
            rng: The generator of what is drawn anew for each batch, such as wrong captions.

        Returns:
            (N,) int64, the example whose text each row has, and (N,) int64, the position of each row's image.
        """

    def targets(self, labels: Sequence[str]) -> Tensor:
        """Turn labels into class indices.

        Args:
            labels: The labels of B examples.

        Returns:
            (B,) int64.
        """


@dataclass(frozen=True, eq=False)
class Batch:
    """B examples of k (text, image) rows each, N = B * k; the rows of an example are neighbors, its own pair first.

    Identities are for the losses: they tell which images and texts of a batch are the same.

    Attributes:
        inputs: What the model takes for N rows.
        text: The text side of the rows.
        image: The image side of the rows.
        labels: (B,) int64, class indices.
        image_identity: (B, images of an example) int64, equal for the same image.
        text_identity: (B,) int64, equal for texts that are the same to the model.
        caption: The text side of the examples' captions, B rows; None where the task has none, or no loss reads them.
        caption_identity: (B,) int64, that of the captions.
    """

    inputs: Inputs
    text: Inputs
    image: Inputs
    labels: Tensor
    image_identity: Tensor
    text_identity: Tensor
    caption: Inputs | None = None
    caption_identity: Tensor | None = None

    def map_inputs(self, function: Callable[[Tensor], Tensor], keys: Iterable[str] | None = None) -> Batch:
        """Apply a function to the tensors of the inputs, once to each, although a side shares those of its rows.

        Args:
            function: The function, which keeps the rows of a tensor.
            keys: The keys of the inputs whose tensors it is applied to; None: all.
        """
        apply, chosen = _once(function), None if keys is None else set(keys)
        return replace(
            self,
            inputs=self.inputs.map(apply, chosen),
            text=self.text.map(apply, chosen),
            image=self.image.map(apply, chosen),
            caption=self.caption and self.caption.map(apply, chosen),
        )

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """Return the batch on a device; see `iglue_plugins.data.inputs.move`.

        Args:
            device: The device.
            non_blocking: Whether copies from pinned memory are not waited for.
        """
        return self._map_all(lambda tensor: move(tensor, device, non_blocking))

    def pin_memory(self) -> Batch:
        """Return the batch in memory from which a GPU can copy by itself."""
        return self._map_all(Tensor.pin_memory)

    def _map_all(self, function: Callable[[Tensor], Tensor]) -> Batch:
        return replace(
            self.map_inputs(function),
            labels=function(self.labels),
            image_identity=function(self.image_identity),
            text_identity=function(self.text_identity),
            caption_identity=None if self.caption_identity is None else function(self.caption_identity),
        )


def _once(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Make a function that is applied to each tensor once, and returns the same result for the same tensor."""
    results: dict[int, tuple[Tensor, Tensor]] = {}  # the tensor is kept too, so that no other one gets its id

    def apply(tensor: Tensor) -> Tensor:
        if id(tensor) not in results:
            results[id(tensor)] = tensor, function(tensor)
        return results[id(tensor)][1]

    return apply


class Batcher:
    """Makes batches of a task's examples.

    Args:
        dataset: Rows with id, image_ids, text, language and label, and perhaps caption.
        task: The task that the examples belong to.
        processor: The model's processor.
        captions: Whether batches have the captions of their examples, where the task has any. It costs their
            tokenization.

    Attributes:
        texts: The texts, tokenized.
        image_source: The task's images, as the model reads them.
        images: (examples, images of an example) int64, positions in `image_source`.
        targets: (examples,) int64, class indices.

    Raises:
        UserError: There are no examples, an image is missing, or a label is not the task's.
    """

    def __init__(self, dataset: Dataset, task: BatchedTask, processor: Processor, *, captions: bool = True) -> None:
        if not len(dataset):
            raise UserError(f"task {task.name}: there are no examples to make batches of; choose a split with examples")
        self.task = task
        self.dataset = dataset
        self.processor = processor
        self.texts = processor.prepare_texts(BlockwiseColumn(dataset, "text"), task.max_text_length)
        self._batches_have_captions = captions and self.captions is not None
        self.image_source = processor.prepare_images(task)
        image_ids = chain.from_iterable(BlockwiseColumn(dataset, "image_ids"))
        self.images = self.image_source.index(image_ids).reshape(len(dataset), -1)
        self.targets = task.targets(dataset["label"][:])

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def captions(self) -> PreparedTexts | None:
        """The captions, tokenized when they are first asked for; None where the task has none."""
        if "caption" not in self.dataset.column_names:
            return None
        return self.processor.prepare_texts(BlockwiseColumn(self.dataset, "caption"), self.task.max_text_length)

    def batch(self, examples: Sequence[int] | np.ndarray, rng: np.random.Generator | None = None) -> Batch:
        """Make a batch of some examples.

        Args:
            examples: (B,) positions of examples.
            rng: The generator of what the task draws anew for each batch, such as wrong captions.
        """
        examples = np.asarray(examples)
        return self.rows(examples, *self.task.rows(examples, self, rng))

    def pairs(self, examples: np.ndarray) -> Batch:
        """Make a batch of one row for each example: its text and its first image.

        Args:
            examples: (B,) int64, positions of examples.
        """
        return self.rows(examples, examples, self.images[examples, 0])

    def rows(self, examples: np.ndarray, text_rows: np.ndarray, image_positions: np.ndarray) -> Batch:
        """Make a batch of (text, image) rows.

        Args:
            examples: (B,) int64, positions of examples.
            text_rows: (N,) int64, the example whose text each row has.
            image_positions: (N,) int64, the position of each row's image.
        """
        text, image = self.texts.inputs(text_rows), self.image_source.inputs(image_positions)
        captions = self.captions if self._batches_have_captions else None
        return Batch(
            self.processor.collate(text, image),
            text,
            image,
            self.targets[torch.from_numpy(examples)],
            torch.from_numpy(self.images[examples]),
            torch.from_numpy(self.texts.identity[examples]),
            None if captions is None else captions.inputs(examples),
            None if captions is None else torch.from_numpy(captions.identity[examples]),
        )
