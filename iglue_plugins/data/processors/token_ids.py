"""The token ids of many texts, as two compact arrays."""

from __future__ import annotations

from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from iglue_plugins.data.processors.different_texts import first_places

BLOCK_SIZE = 1000  # texts that are tokenized at once; what a tokenizer returns takes a hundred times the ids' memory


class TokenIds(NamedTuple):
    """Token ids of texts of different lengths.

    Attributes:
        lengths: (texts,) int32, the number of tokens of each text.
        flat: (tokens,) int32, the ids of all texts, one text after the other.
    """

    lengths: np.ndarray
    flat: np.ndarray

    def first_places(self) -> np.ndarray:
        """Find for each text the place of the first one with the same ids, (texts,) int64."""
        ends = self.lengths.cumsum(dtype=np.int64).tolist()
        flat = np.ascontiguousarray(self.flat).data
        return first_places(flat[start:end] for start, end in pairwise([0, *ends]))


def tokenize(texts: pa.ChunkedArray, tokenizer: PreTrainedTokenizerBase, max_length: int) -> TokenIds:
    """Tokenize texts block by block, so that memory beyond the ids does not grow with their number.

    Args:
        texts: The texts.
        tokenizer: The tokenizer.
        max_length: Tokens at which a text is cut, special tokens included.
    """
    lengths, blocks = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
    for start in range(0, len(texts), BLOCK_SIZE):
        ids = tokenizer(
            texts.slice(start, BLOCK_SIZE).to_pylist(),
            truncation=True,
            max_length=max_length,
            return_attention_mask=False,
            return_token_type_ids=False,
        ).input_ids
        lengths.append(np.fromiter(map(len, ids), np.int32, len(ids)))
        blocks.append(np.fromiter(chain.from_iterable(ids), np.int32, int(lengths[-1].sum())))
    return TokenIds(np.concatenate(lengths), np.concatenate(blocks))
