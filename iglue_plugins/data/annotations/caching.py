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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

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
    identity = [VERSION, kind, language, store, list(labels), keep_unknown]

    def make_tables(notes: dict[str, Any]) -> Iterator[pa.Table]:
        counts = Counts()
        selected = select_labelled(READERS[kind](path, labels), counts, None if keep_unknown else frozenset(labels))
        rows = 0
        for table in to_tables(selected, language, store):
            rows += len(table)
            yield table
        if not rows:
            raise UserError(
                f"{path}: found no examples{' with a label' if counts.unlabelled else ''}, expected at least one; "
                "download the file again"
            )
        notes.update(asdict(counts))

    examples, notes = cached_dataset(path, identity, FEATURES, make_tables)
    return Annotations(examples, Counts(**notes))


def cached_dataset(
    path: Path, identity: Sequence[Any], features: Features, make_tables: Callable[[dict[str, Any]], Iterable[pa.Table]]
) -> tuple[Dataset, dict[str, Any]]:
    """Finds the rows of a file in the cache, or makes them.

    Args:
        path: The file. Its path, size and time of change belong to the key of the cache.
        identity: All else that the rows depend on, as JSON values.
        features: The columns.
        make_tables: Makes the rows, as tables with the columns. It is called once, and again if the cache is damaged,
            with a dict for what should be kept beside the rows, as JSON values.

    Returns:
        The rows, memory-mapped, and what `make_tables` kept.

    Raises:
        UserError: The file cannot be read, `make_tables` raised it, or the cache cannot be written.
    """
    key = _digest(json.dumps([*identity, *_file_version(path)]).encode())
    table = cache_folder() / f"{key}.arrow"
    notes = _cached_notes(table)
    if notes is None:
        notes = {}
        with _cache_file(table) as temporary:
            _write_tables(make_tables(notes), features, temporary)
        with _cache_file(table.with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps({"counts": notes, "seal": _table_seal(table, notes)}), encoding="utf-8")
    return Dataset.from_file(str(table)), notes


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


def _cached_notes(table: Path) -> dict[str, Any] | None:
    """Returns what is kept beside a table in the cache, or None if the table or its notes are missing or damaged."""
    try:
        content = json.loads(table.with_suffix(".json").read_text(encoding="utf-8"))
        notes: dict[str, Any] = content["counts"]
        return notes if content["seal"] == _table_seal(table, notes) else None
    except (UserError, OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _table_seal(table: Path, notes: dict[str, Any]) -> str:
    """Returns the hash of a table's file and of what is kept beside it."""
    return _digest(json.dumps([_table_digest(_file_version(table)), notes]).encode())


@functools.lru_cache(maxsize=4096)
def _table_digest(version: _FileVersion) -> str:
    """Hashes a table's file once in a process for each version of it."""
    return content_hash(version.path)


def _write_tables(tables: Iterable[pa.Table], features: Features, path: Path) -> None:
    """Writes tables to an Arrow file."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, features.arrow_schema) as writer:
        for table in tables:
            writer.write_table(table)


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
