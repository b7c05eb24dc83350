"""Batches of tensors from the examples of a task."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import chain
from typing import Any, Protocol

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from iglue_plugins.data.regions import RegionLayout, RegionStore
from iglue_plugins.utils.errors import UserError

Batch = dict[str, Tensor]

IDENTITY_KEYS = frozenset({"image_identity", "text_identity", "caption_identity"})


class BatchedTask(Protocol):
    """Declares the part of a task that a batcher uses; `iglue_plugins.tasks.base.Task` is such a task.

    Attributes:
        name: The task's name, for errors.
        max_text_length: The number of tokens at which a text is cut, special tokens included.
    """

    max_text_length: int

    @property
    def name(self) -> str:
        """The task's name in recipes."""

    @property
    def regions(self) -> RegionStore:
        """Returns the region features of the task's images."""

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
            (N,) int64, the example whose text each row has, and (N,) int64, the position of each row's image in the
            region store.
        """

    def targets(self, labels: Sequence[str]) -> Tensor:
        """Turn labels into class indices.

        Args:
            labels: The labels of B examples.

        Returns:
            (B,) int64.
        """


class TokenizedTexts:
    """Tokenizes texts once, and pads those of each batch to the longest text in it.

    Args:
        texts: The texts.
        tokenizer: The model's tokenizer.
        max_length: Tokens at which a text is cut, special tokens included.

    Attributes:
        lengths: (texts,) int64, the number of tokens of each text.
    """

    def __init__(self, texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        ids = tokenizer(list(texts), truncation=True, max_length=max_length).input_ids
        self.lengths = np.asarray([len(row) for row in ids], dtype=np.int64)
        self._starts = np.concatenate([[0], self.lengths.cumsum()])
        self._flat = np.concatenate([np.asarray(row, dtype=np.int64) for row in ids])
        self._padding = tokenizer.pad_token_id

    @cached_property
    def identity(self) -> np.ndarray:
        """The position of the first text with the same token ids, for each text: (texts,) int64."""
        identity = np.zeros(len(self.lengths), dtype=np.int64)
        for length in np.unique(self.lengths):
            rows = np.flatnonzero(self.lengths == length)
            ids = self._flat[self._starts[rows][:, None] + np.arange(length)]
            _, first, inverse = np.unique(
                ids.view(np.dtype((np.void, ids.itemsize * length))), return_index=True, return_inverse=True
            )
            identity[rows] = rows[first[inverse.ravel()]]
        return identity

    def pad(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Pad some of the texts to the longest of them.

        Args:
            rows: (N,) int64, positions of texts.

        Returns:
            Token ids and attention mask, both (N, T) int64.
        """
        lengths = self.lengths[rows]
        offsets = np.arange(lengths.max())
        mask = offsets < lengths[:, None]
        ids = np.full(mask.shape, self._padding, dtype=np.int64)
        ids[mask] = self._flat[(self._starts[rows][:, None] + offsets)[mask]]
        return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))


class Batcher:
    """Makes batches of a task's examples; docs/architecture.md describes the layout of a batch.

    Args:
        dataset: Rows with id, image_ids, text, language and label, and perhaps caption.
        task: The task that the examples belong to.
        tokenizer: The model's tokenizer.
        layout: How the model reads regions.

    Attributes:
        images: (examples, images of an example) int64, positions in the task's region store.
        targets: (examples,) int64, class indices.

    Raises:
        UserError: There are no examples, an image has no region features, or a label is not the task's.
    """

    def __init__(
        self,
        dataset: Dataset,
        task: BatchedTask,
        tokenizer: PreTrainedTokenizerBase,
        layout: RegionLayout = RegionLayout(),
    ) -> None:
        if not len(dataset):
            raise UserError(f"task {task.name}: there are no examples to make batches of; choose a split with examples")
        self.task = task
        self.dataset = dataset
        self.layout = layout
        self.texts = TokenizedTexts(dataset["text"][:], tokenizer, task.max_text_length)
        has_captions = "caption" in dataset.column_names
        self.captions = TokenizedTexts(dataset["caption"][:], tokenizer, task.max_text_length) if has_captions else None
        image_ids = chain.from_iterable(dataset["image_ids"][:])
        self.images = task.regions.index(image_ids).reshape(len(dataset), -1)
        self.targets = task.targets(dataset["label"][:])

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def region_counts(self) -> np.ndarray:
        """Returns the number of regions of each example's first image, (examples,) int64."""
        return self.task.regions.box_counts(self.images[:, 0])

    def batch(self, examples: Sequence[int] | np.ndarray, rng: np.random.Generator | None = None) -> Batch:
        """Make a batch of some examples.

        Args:
            examples: (B,) positions of examples.
            rng: The generator of what the task draws anew for each batch, such as wrong captions.

        Returns:
            The batch, with `labels`, the identities of images and texts and, where the task has captions, their token
            ids.
        """
        examples = np.asarray(examples)
        text_rows, image_rows = self.task.rows(examples, self, rng)
        batch = self.rows(text_rows, image_rows)
        batch["labels"] = self.targets[torch.from_numpy(examples)]
        if self.captions is not None:
            batch["caption_input_ids"], batch["caption_attention_mask"] = self.captions.pad(examples)
        return batch | self.identities(examples)

    def identities(self, examples: np.ndarray) -> Batch:
        """Say which images and texts examples have, so that a loss can tell which of them are the same.

        Args:
            examples: (B,) int64, positions of examples.

        Returns:
            `image_identity` (B, images of an example) int64, positions in the region store; `text_identity` (B,) int64
            and, where the task has captions, `caption_identity` (B,) int64, positions of the first text or caption of
            the batcher with the same token ids.
        """
        found = {"image_identity": self.images[examples], "text_identity": self.texts.identity[examples]}
        if self.captions is not None:
            found["caption_identity"] = self.captions.identity[examples]
        return {key: torch.from_numpy(value) for key, value in found.items()}

    def rows(self, text_rows: np.ndarray, image_positions: np.ndarray) -> Batch:
        """Make the tensors of (text, image) rows.

        Args:
            text_rows: (N,) int64, the example whose text each row has.
            image_positions: (N,) int64, the position of each row's image in the region store.

        Returns:
            A batch without labels.
        """
        input_ids, attention_mask = self.texts.pad(text_rows)
        regions = self.task.regions.gather(image_positions, self.layout)
        return {"input_ids": input_ids, "attention_mask": attention_mask, **regions}


def model_inputs(batch: Batch) -> Batch:
    """Return a batch without the identities of its images and texts, which are for the losses and not for the model.

    Args:
        batch: The batch, which is left as it is.
    """
    return {key: value for key, value in batch.items() if key not in IDENTITY_KEYS}


def move_to_device(batch: Batch, device: torch.device) -> Batch:
    """Return a batch with its tensors on a device.

    Args:
        batch: The batch, which is left as it is.
        device: The device.
    """
    return {key: value.to(device) for key, value in batch.items()}
