"""Texts that are tokenized once, and padded batch by batch."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from iglue_plugins.data.inputs import Inputs
from iglue_plugins.data.processors.different_texts import different_texts
from iglue_plugins.data.processors.token_cache import cached_token_ids


class TokenizedTexts:
    """Tokenizes each different text once, and pads those of a batch to the longest text in it.

    Args:
        texts: The texts.
        tokenizer: The model's tokenizer.
        max_length: Tokens at which a text is cut, special tokens included.

    Attributes:
        lengths: (texts,) int64, the number of tokens of each text.
    """

    def __init__(self, texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        different, self._number = different_texts(texts)
        self._ids = cached_token_ids(different, tokenizer, max_length)
        del different
        pa.default_memory_pool().release_unused()  # Arrow would keep the memory for what it may need later
        self._starts = self._ids.lengths.cumsum(dtype=np.int64) - self._ids.lengths
        self.lengths = self._ids.lengths[self._number].astype(np.int64)
        self._padding = tokenizer.pad_token_id

    @cached_property
    def identity(self) -> np.ndarray:
        """The position of the first text with the same token ids, for each text: (texts,) int64."""
        first_text = np.unique(self._number, return_index=True)[1]
        return first_text[self._ids.first_places()[self._number]]

    def pad(self, rows: np.ndarray, length: int | None = None) -> tuple[Tensor, Tensor]:
        """Pad some of the texts.

        Args:
            rows: (N,) int64, positions of texts.
            length: T, at least the number of tokens of each text; None: that of the longest of them.

        Returns:
            Token ids and attention mask, both (N, T) int64.
        """
        lengths = self.lengths[rows]
        offsets = np.arange(length or lengths.max())
        mask = offsets < lengths[:, None]
        ids = np.full(mask.shape, self._padding, dtype=np.int64)
        ids[mask] = self._ids.flat[(self._starts[self._number[rows]][:, None] + offsets)[mask]]
        return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))

    def inputs(self, rows: np.ndarray) -> Inputs:
        """Make `input_ids` and `attention_mask` of some rows, both (N, T) int64.

        Args:
            rows: (N,) int64, positions of texts.
        """
        input_ids, attention_mask = self.pad(rows)
        return Inputs({"input_ids": input_ids, "attention_mask": attention_mask}, len(rows))


class DistinctTexts:
    """Texts that are tokenized once, and stand once in a batch that has them several times.

    Args:
        texts: The texts.
        tokenizer: The model's tokenizer.
        max_length: Tokens at which a text is cut, special tokens included.
        padded_length: The length that every text is padded to, with no attention mask; None pads to the longest of a
            batch, with a mask.
    """

    def __init__(
        self, texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, max_length: int, padded_length: int | None
    ) -> None:
        self._tokenized = TokenizedTexts(texts, tokenizer, max_length)
        self._padded_length = padded_length

    @property
    def lengths(self) -> np.ndarray:
        """The number of tokens of each text before padding, (texts,) int64."""
        return self._tokenized.lengths

    @property
    def identity(self) -> np.ndarray:
        """The position of the first text with the same token ids, for each text: (texts,) int64."""
        return self._tokenized.identity

    def inputs(self, rows: np.ndarray) -> Inputs:
        """Make the text side of some rows.

        Args:
            rows: (N,) int64, positions of texts.

        Returns:
            `text_rows` (N,) int64, which of the D distinct texts each row has; and shared by all rows `input_ids` and,
            unless texts are padded to a fixed length, `attention_mask`, both (D, T) int64.
        """
        distinct, text_rows = np.unique(self.identity[rows], return_inverse=True)
        input_ids, attention_mask = self._tokenized.pad(distinct, self._padded_length)
        shared = {"input_ids": input_ids}
        if self._padded_length is None:
            shared["attention_mask"] = attention_mask
        return Inputs({**shared, "text_rows": torch.from_numpy(text_rows)}, len(rows), frozenset(shared))
