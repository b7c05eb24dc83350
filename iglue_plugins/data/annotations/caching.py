"""A cache of annotation files: their examples as memory-mapped Arrow files, made once for each version of a file.

Arrow trusts the offsets in a file: a damaged one can end the process when it is mapped into memory. So a table is
mapped only if it has the digest that it was written with, and is made anew otherwise. SHA-256 of 500,000 rows (102 MB)
takes 65 ms, once in a process; Arrow's own full validation takes 20 ms, but does not see text that has changed.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import datasets
import pyarrow as pa
from datasets import Dataset, Features, List, Value

from iglue_plugins.data.annotations.entries import unreadable_file_error
from iglue_plugins.data.annotations.readers import READERS, Example
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import atomic_path, content_hash, read_sealed, seal
from iglue_plugins.utils.text import printable

VERSION = 2  # to be raised when a reader gives other examples for the same file
FEATURES = Features(
    {
        "id": Value("string"),
        "image_ids": List(Value("string")),
        "text": Value("string"),
        "language": Value("string"),
        "label": Value("string"),
        "caption": Value("string"),
    }
)
ROWS_PER_TABLE = 10_000
MIN_CACHED_SIZE = 2**20  # bytes; the digest of a smaller file is not cached


@dataclass
class Counts:
    """Counts peculiar rows of a file while it is read.

    Attributes:
        unlabelled: The number of rows without one of the task's labels, which are left out.
        repeated: The number of rows with the id of an earlier row, which are kept.
        first_repeated: The first such id.
    """

    unlabelled: int = 0
    repeated: int = 0
    first_repeated: str = ""


@dataclass(frozen=True)
class Annotations:
    """Holds the examples of a file.

    Attributes:
        examples: The examples in the order of the file; `iglue_plugins.data.annotations` describes the columns.
        counts: The numbers of peculiar rows.
    """

    examples: Dataset
    counts: Counts


def read_annotations(
    path: Path, kind: str, *, language: str, store: str, labels: Sequence[str], keep_unknown: bool = False
) -> Annotations:
    """Reads the examples of an annotation file, or finds them in the cache.

    The file is read once, and again if the cache is damaged. The key of the cache is the readers' version, all
    arguments, and the file's path, size and time of change.

    Args:
        path: The file.
        kind: The kind of the file, a name in READERS.
        language: The language of the file's texts.
        store: The region store of the file's images.
        labels: The task's labels.
        keep_unknown: Whether rows with any other label are kept; by default they are left out and counted.

    Returns:
        The examples, memory-mapped.

    Raises:
        UserError: The file cannot be read, is damaged (the error names the place), or has no examples; or the cache
            cannot be written.
    """
    identity = [VERSION, kind, language, store, list(labels), keep_unknown, *_file_version(path)]
    key = _digest(json.dumps(identity).encode())
    table = cache_folder() / f"{key}.arrow"
    counts = _cached_counts(table)
    if counts is None:
        counts = Counts()
        selected = select_labelled(READERS[kind](path, labels), counts, None if keep_unknown else frozenset(labels))
        with _cache_file(table) as temporary:
            if not _write_tables(to_tables(selected, language, store), temporary):
                raise UserError(
                    f"{path}: found no examples{' with a label' if counts.unlabelled else ''}, expected at least one; "
                    "download the file again"
                )
        with _cache_file(table.with_suffix(".json")) as temporary:
            notes = {"counts": asdict(counts), "seal": _table_seal(table, counts)}
            temporary.write_text(json.dumps(notes), encoding="utf-8")
    return Annotations(Dataset.from_file(str(table)), counts)


def content_digest(path: Path) -> str:
    """Returns the SHA-256 of a file's content; a large file is read once for each size and time of change.

    Args:
        path: The file.

    Returns:
        64 hexadecimal digits.

    Raises:
        UserError: The file cannot be read.
    """
    version = _file_version(path)
    cached = cache_folder() / f"{_digest(json.dumps(version).encode())}.sha256"
    known = read_sealed(cached)
    if known is not None:
        return known.decode()
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable_file_error(path, error) from error
    if version.size >= MIN_CACHED_SIZE:
        with _cache_file(cached) as temporary:
            temporary.write_bytes(seal(digest.encode()))
    return digest


def cache_folder() -> Path:
    """Returns the folder of the cache, inside the cache of `datasets`; HF_DATASETS_CACHE moves both.

    Raises:
        UserError: The folder's name is not UTF-8; Arrow reads no other.
    """
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "iglue_plugins"
    if str(folder) != printable(str(folder)):
        raise UserError(f"{folder}: the folder's name is not UTF-8; set HF_DATASETS_CACHE to another folder")
    return folder


def to_tables(examples: Iterable[Example], language: str, store: str) -> Iterator[pa.Table]:
    """Turns examples into tables with the columns of FEATURES.

    Args:
        examples: The examples.
        language: The language of their texts.
        store: The region store of their images.

    Yields:
        Tables of up to ROWS_PER_TABLE rows.
    """
    examples = iter(examples)
    while rows := list(itertools.islice(examples, ROWS_PER_TABLE)):
        ids, images, texts, labels, captions = zip(*rows, strict=True)
        yield pa.table(
            {
                "id": ids,
                "image_ids": [[f"{store}/{name}" for name in names] for names in images],
                "text": texts,
                "language": [language] * len(rows),
                "label": labels,
                "caption": captions,
            },
            schema=FEATURES.arrow_schema,
        )


def select_labelled(examples: Iterable[Example], counts: Counts, labels: frozenset[str] | None) -> Iterator[Example]:
    """Selects the examples with one of the labels, and counts peculiar rows.

    Args:
        examples: The examples of a file.
        counts: The counts, which are increased.
        labels: The labels; None selects all examples.

    Yields:
        The selected examples.
    """
    seen: set[str] = set()
    for example in examples:
        if labels is not None and example.label not in labels:
            counts.unlabelled += 1
            continue
        if example.id in seen:
            counts.repeated += 1
            counts.first_repeated = counts.first_repeated or example.id
        seen.add(example.id)
        yield example


def _cached_counts(table: Path) -> Counts | None:
    """Returns the counts of a table in the cache, or None if the table or its counts are missing or damaged."""
    try:
        notes = json.loads(table.with_suffix(".json").read_text(encoding="utf-8"))
        counts = Counts(**notes["counts"])
        return counts if notes["seal"] == _table_seal(table, counts) else None
    except (UserError, OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _table_seal(table: Path, counts: Counts) -> str:
    """Returns the hash of a table's file and of what was counted while it was written."""
    return _digest(json.dumps([_table_digest(_file_version(table)), asdict(counts)]).encode())


@functools.lru_cache(maxsize=4096)
def _table_digest(version: _FileVersion) -> str:
    """Hashes a table's file once in a process for each version of it."""
    return content_hash(version.path)


def _write_tables(tables: Iterable[pa.Table], path: Path) -> int:
    """Writes tables to an Arrow file and returns the number of rows."""
    rows = 0
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, FEATURES.arrow_schema) as writer:
        for table in tables:
            writer.write_table(table)
            rows += len(table)
    return rows


@contextlib.contextmanager
def _cache_file(path: Path) -> Iterator[Path]:
    """Gives the block a path to write, which replaces `path` at the end; errors name the cache and its variable."""
    try:
        with atomic_path(path) as temporary:
            yield temporary
    except OSError as error:
        raise UserError(
            f"{path.parent}: the cache of annotations cannot be written ({error.strerror}); set HF_DATASETS_CACHE to "
            "a folder that can be written to"
        ) from error


class _FileVersion(NamedTuple):
    path: str
    size: int  # bytes
    changed: int  # nanoseconds


def _file_version(path: Path) -> _FileVersion:
    try:
        status = path.stat()
    except OSError as error:
        raise unreadable_file_error(path, error) from error
    return _FileVersion(str(path.resolve()), status.st_size, status.st_mtime_ns)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
