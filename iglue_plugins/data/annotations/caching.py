"""Annotation files as Arrow files that are memory-mapped, made once for each version of a file."""

from __future__ import annotations

import contextlib
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

from iglue_plugins.data.annotations.entries import unreadable
from iglue_plugins.data.annotations.readers import READERS, Example
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import atomic_path

VERSION = 1  # raise it when a reader gives other examples of the same file
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
ROWS_AT_ONCE = 10_000
SMALL = 2**20  # bytes; a digest of fewer is not worth keeping


@dataclass
class Counts:
    """What reading a file noticed.

    unlabelled: rows without one of the task's labels, which are left out. repeated: rows whose id an earlier row has,
    which are kept; first_repeated: the first such id.
    """

    unlabelled: int = 0
    repeated: int = 0
    first_repeated: str = ""


@dataclass(frozen=True)
class Annotations:
    """A file's examples, in its order, and what was counted while reading it."""

    examples: Dataset
    counts: Counts


def read_annotations(
    path: Path, kind: str, *, language: str, store: str, labels: Sequence[str], keep_unknown: bool = False
) -> Annotations:
    """The examples of an annotation file, memory-mapped; the columns are those of `iglue_plugins.data.annotations`.

    kind: a name in READERS. store: of the regions of its images. labels: the task's labels; rows with any other label
    are left out and counted, or kept with keep_unknown. The file is read once; what it gave is found again by the
    readers' version, all arguments, and the file's path, size and time of change.

    Raises:
        UserError: the file cannot be read, is damaged (the error names the place), or has no examples.
    """
    key = _digest(json.dumps([VERSION, kind, language, store, list(labels), keep_unknown, *_identity(path)]).encode())
    table, notes = cache_folder() / f"{key}.arrow", cache_folder() / f"{key}.json"
    if not table.is_file():
        counts = Counts()
        examples = as_table(
            counted(READERS[kind](path, labels), counts, None if keep_unknown else frozenset(labels)), language, store
        )
        with _replacing(table) as temporary:
            if not _write_table(examples, temporary):
                raise UserError(
                    f"{path}: found no examples{' with a label' if counts.unlabelled else ''}, expected at least one"
                )
            with _replacing(notes) as temporary_notes:
                temporary_notes.write_text(json.dumps(asdict(counts)), encoding="utf-8")
    return Annotations(Dataset.from_file(str(table)), Counts(**json.loads(notes.read_text(encoding="utf-8"))))


def content_digest(path: Path) -> str:
    """SHA-256 of a file's content; large files are read once for each size and time of change.

    Raises:
        UserError: the file cannot be read.
    """
    identity = _identity(path)
    kept = cache_folder() / f"{_digest(json.dumps(identity).encode())}.sha256"
    if kept.is_file():
        return kept.read_text(encoding="utf-8")
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error
    if identity.size >= SMALL:
        with _replacing(kept) as temporary:
            temporary.write_text(digest, encoding="utf-8")
    return digest


def cache_folder() -> Path:
    """In the folder where `datasets` keeps its own; HF_DATASETS_CACHE moves both."""
    return Path(datasets.config.HF_DATASETS_CACHE) / "iglue_plugins"


def as_table(examples: Iterable[Example], language: str, store: str) -> Iterator[pa.Table]:
    """Examples as tables of FEATURES, some at a time."""
    examples = iter(examples)
    while rows := list(itertools.islice(examples, ROWS_AT_ONCE)):
        ids, images, texts, labels, captions = zip(*rows)
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


def counted(examples: Iterable[Example], counts: Counts, labels: frozenset[str] | None) -> Iterator[Example]:
    """The examples with one of the labels (None: all), while counting."""
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


def _write_table(tables: Iterable[pa.Table], path: Path) -> int:
    """Returns how many rows were written."""
    rows = 0
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, FEATURES.arrow_schema) as writer:
        for table in tables:
            writer.write_table(table)
            rows += len(table)
    return rows


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Give the block a path to write to, which replaces `path` at the end; errors name the cache and its variable."""
    try:
        with atomic_path(path) as temporary:
            yield temporary
    except OSError as error:
        raise UserError(
            f"{path.parent}: cannot be written to ({error.strerror}), expected a folder for what is read "
            "of the annotations; HF_DATASETS_CACHE names another"
        ) from error


class _Identity(NamedTuple):
    path: str
    size: int
    changed: int  # nanoseconds


def _identity(path: Path) -> _Identity:
    try:
        found = path.stat()
    except OSError as error:
        raise unreadable(path, error) from error
    return _Identity(str(path.resolve()), found.st_size, found.st_mtime_ns)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
