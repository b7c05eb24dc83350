"""The different ones of many texts."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from itertools import islice

import numpy as np
import pyarrow as pa

BLOCK_SIZE = 10_000  # texts that are read at once
DIGEST_SIZE = 16  # bytes; that two of a million texts share a digest has a chance of 1.5e-27


def different_texts(texts: Iterable[str]) -> tuple[pa.ChunkedArray, np.ndarray]:
    """Find the different texts, in memory that is hardly more than they take.

    Args:
        texts: The texts, which are read once.

    Returns:
        The different texts in the order of their first occurrence, and the number of each text among them, (texts,)
        int64.
    """
    texts = iter(texts)
    blocks = [pa.array([], pa.large_string())]
    digests = bytearray()
    while block := list(islice(texts, BLOCK_SIZE)):
        blocks.append(pa.array(block, pa.large_string()))
        digests += _digests(text.encode() for text in block)
    first = _first_places(digests)
    is_first = first == np.arange(len(first))
    kept = pa.chunked_array(blocks)
    return (kept if is_first.all() else kept.filter(pa.array(is_first))), (is_first.cumsum() - 1)[first]


def first_places(contents: Iterable[bytes | memoryview]) -> np.ndarray:
    """Find for each content the place of the first one that is equal, (contents,) int64."""
    return _first_places(_digests(contents))


def _digests(contents: Iterable[bytes | memoryview]) -> bytearray:
    digests = bytearray()
    for content in contents:
        digests += blake2b(content, digest_size=DIGEST_SIZE).digest()
    return digests


def _first_places(digests: bytearray) -> np.ndarray:
    rows = np.frombuffer(digests, np.dtype((np.void, DIGEST_SIZE)))
    _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
    return first[inverse]
