"""Examples of a task as batches of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from iglue_plugins.data.regions import RegionLayout
from iglue_plugins.utils.errors import UserError

if TYPE_CHECKING:
    from iglue_plugins.tasks.base import Task

Batch = dict[str, torch.Tensor]


class TokenizedTexts:
    """Texts tokenised once, padded per batch to the longest text in it."""

    def __init__(self, texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        ids = tokenizer(list(texts), truncation=True, max_length=max_length).input_ids
        self.lengths = np.asarray([len(row) for row in ids], dtype=np.int64)
        self._starts = np.concatenate([[0], self.lengths.cumsum()])
        self._flat = np.concatenate([np.asarray(row, dtype=np.int64) for row in ids])
        self._padding = tokenizer.pad_token_id

    def pad(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """input_ids and attention_mask, both int64 (rows, longest)."""
        lengths = self.lengths[rows]
        offsets = np.arange(lengths.max())
        mask = offsets < lengths[:, None]
        ids = np.full(mask.shape, self._padding, dtype=np.int64)
        ids[mask] = self._flat[(self._starts[rows][:, None] + offsets)[mask]]
        return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))


class Batcher:
    """Batches of a task's examples (the layout is described in docs/architecture.md).

    dataset: rows with id, image_ids, text, language, label and perhaps caption. layout: how the model reads regions.
    """

    def __init__(
        self, dataset: Dataset, task: Task, tokenizer: PreTrainedTokenizerBase, layout: RegionLayout = RegionLayout()
    ) -> None:
        if not len(dataset):
            raise UserError(f"task {task.name}: found no examples to make batches of")
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
        """How many boxes each example's (first) image has, int64."""
        return self.task.regions.box_counts(self.images[:, 0])

    def batch(self, examples: Sequence[int], rng: np.random.Generator | None = None) -> Batch:
        """The examples at these positions as one batch; rng draws what the task draws anew (wrong captions, say)."""
        examples = np.asarray(examples)
        text_rows, image_rows = self.task.rows(examples, self, rng)
        batch = self.rows(text_rows, image_rows)
        batch["labels"] = self.targets[torch.from_numpy(examples)]
        if self.captions is not None:
            batch["caption_input_ids"], batch["caption_attention_mask"] = self.captions.pad(examples)
        return batch

    def rows(self, text_rows: np.ndarray, image_positions: np.ndarray) -> Batch:
        """(text, image) rows: text_rows and image_positions int64 (N,) -> the batch's tensors without labels."""
        input_ids, attention_mask = self.texts.pad(text_rows)
        regions = self.task.regions.gather(image_positions, self.layout)
        return {"input_ids": input_ids, "attention_mask": attention_mask, **regions}
