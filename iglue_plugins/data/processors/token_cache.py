"""A cache of token ids by content: texts that a tokenizer has seen before are not tokenized again.

`datasets.Dataset.map` keeps its results too, but knows a tokenizer by its pickle, which changes when it is used, and
data that are in memory by no content at all; and it removes nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import tokenizers
import transformers
from transformers import PreTrainedTokenizerBase

from iglue_plugins.data.processors.token_ids import TokenIds, tokenize
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import read_sealed, seal_line, write_atomic

VERSION = 1  # to be raised when the same texts and tokenizer give another file
MIN_CACHED_TEXTS = 2000  # fewer are tokenized in less than 0.1 seconds
MAX_CACHE_SIZE = 2 * 2**30  # bytes; the files that have not been used for longest are removed beyond it
NUMBER = np.dtype("<i4")


def cached_token_ids(texts: pa.ChunkedArray, tokenizer: PreTrainedTokenizerBase, max_length: int) -> TokenIds:
    """Tokenize texts, or find their ids in the cache.

    The key of the cache is the texts, the tokenizer's state, the length, and the versions of transformers and
    tokenizers. Few texts are not cached, nor is what a tokenizer does that is not one of transformers' own on
    tokenizers: it may depend on more than can be seen. A cache that is damaged, or cannot be read or written, is done
    without. Several processes may use it at once.

    Args:
        texts: The texts.
        tokenizer: The tokenizer.
        max_length: Tokens at which a text is cut, special tokens included.
    """
    key = _key(texts, tokenizer, max_length) if len(texts) >= MIN_CACHED_TEXTS and _is_known(tokenizer) else None
    if key is None:
        return tokenize(texts, tokenizer, max_length)
    path = cache_folder() / f"{key}.tokens"
    content = read_sealed(path)
    if content is not None:
        with contextlib.suppress(OSError):
            os.utime(path)
        return _unpack(content)
    ids = tokenize(texts, tokenizer, max_length)
    parts = [part.astype(NUMBER, copy=False).data for part in (np.asarray([len(texts)]), *ids)]
    with contextlib.suppress(UserError):
        write_atomic(path, seal_line(*parts), *parts)
        _remove_oldest(path.parent)
    return ids


def cache_folder() -> Path:
    """Return the folder of the cache, inside the cache of `datasets`; HF_DATASETS_CACHE moves both."""
    return Path(datasets.config.HF_DATASETS_CACHE) / "iglue_plugins" / "tokens"


def _is_known(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether a tokenizer's class is one of transformers, and its state that of a tokenizer of tokenizers."""
    return type(tokenizer).__module__.partition(".")[0] == "transformers" and tokenizer.is_fast


def _key(texts: pa.ChunkedArray, tokenizer: PreTrainedTokenizerBase, max_length: int) -> str | None:
    """Return the key of the texts' ids; None for a tokenizer with a part in Python, whose state cannot be told."""
    tokenize(texts[:1], tokenizer, max_length)  # the state has the length and the side of the cut from here on
    try:
        state = tokenizer.backend_tokenizer.to_str()
    except Exception:  # tokenizers raises no class of its own
        return None
    kind = f"{type(tokenizer).__module__}.{type(tokenizer).__qualname__}"
    versions = [transformers.__version__, tokenizers.__version__]
    facts = [VERSION, *versions, kind, tokenizer.split_special_tokens, max_length, len(texts)]
    digest = hashlib.sha256(json.dumps(facts).encode())
    digest.update(state.encode())
    for block in filter(len, texts.chunks):
        _, offsets, content = block.buffers()
        ends = np.frombuffer(offsets, np.int64)[block.offset : block.offset + len(block) + 1]
        digest.update(np.diff(ends).data)
        digest.update(memoryview(content)[ends[0] : ends[-1]])
    return digest.hexdigest()[:32]


def _unpack(content: bytes) -> TokenIds:
    numbers = np.frombuffer(content, NUMBER)
    count = int(numbers[0])
    return TokenIds(numbers[1 : count + 1], numbers[count + 1 :])


def _remove_oldest(folder: Path) -> None:
    """Remove the files that have not been used for longest, until the others fit into the cache."""
    with contextlib.suppress(OSError):
        files = [(path.stat().st_mtime_ns, path.stat().st_size, path) for path in folder.glob("*.tokens")]
        size = 0
        for _, taken, path in sorted(files, reverse=True):
            size += taken
            if size > MAX_CACHE_SIZE:
                path.unlink(missing_ok=True)
