"""The rows of a user's own data as memory-mapped tables, and the selection of a split's examples from them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Features, Value, concatenate_datasets

from iglue_plugins.data.annotations.caching import FEATURES, ROWS_PER_TABLE, cached_dataset
from iglue_plugins.tasks.custom.files import DataFile
from iglue_plugins.tasks.custom.rows import Row, RowReader
from iglue_plugins.utils.errors import UserError

VERSION = 1  # to be raised when the reader gives other rows for the same file
ROW_FEATURES = Features({**FEATURES, "split": Value("string"), "shots": Value("int32"), "digest": Value("binary")})
ADDED = ("split", "shots", "digest")


class Rows:
    """The rows of a user's own data.

    A file is read when rows are asked for that may be in it.

    Args:
        files: The files.
        reader: The reader of the rows.
    """

    def __init__(self, files: Iterable[DataFile], reader: RowReader) -> None:
        self._files = tuple(files)
        self._reader = reader
        self._tables: dict[DataFile, Dataset] = {}

    def select(self, split: str, language: str, shots: int | None = None) -> Dataset:
        """Select the rows of a split in a language.

        Args:
            split: The name of the split in the files.
            language: The language.
            shots: The largest number of shots of few-shot rows; None for all rows.

        Returns:
            The rows in the order of the files, with all of ROW_FEATURES; there may be none.

        Raises:
            UserError: Rows are damaged or have wrong values, or two rows have one id.
        """
        read: list[DataFile] = []
        parts: list[Dataset] = []
        for file in self._files:
            if file.split in (None, split) and file.language in (None, language):
                table = self._table(file)
                columns = table.select_columns(["split", "language", "shots"]).with_format("arrow")[:]
                mask = pc.and_(pc.equal(columns["split"], split), pc.equal(columns["language"], language))
                if shots is not None:
                    mask = pc.and_(mask, pc.fill_null(pc.less_equal(columns["shots"], shots), False))
                positions = np.flatnonzero(mask.to_numpy())
                if len(positions):
                    read.append(file)
                    parts.append(table.select(positions))
        if not parts:
            return Dataset.from_dict({name: [] for name in ROW_FEATURES}, features=ROW_FEATURES)
        if len(parts) > 1:
            _check_ids(read, parts)
        return concatenate_datasets(parts) if len(parts) > 1 else parts[0]

    @cached_property
    def counts(self) -> dict[tuple[str, str], int]:
        """The number of rows by the name of the split and the language; reads all files.

        Raises:
            UserError: Rows are damaged or have wrong values; the message has a line for each.
        """
        found: dict[tuple[str, str], int] = {}
        problems: list[str] = []
        for file in self._files:
            try:
                table = self._table(file).select_columns(["split", "language"]).with_format("arrow")[:]
            except UserError as error:
                problems.append(str(error))
                continue
            grouped = table.group_by(["split", "language"]).aggregate([([], "count_all")]).to_pylist()
            for row in grouped:
                key = row["split"], row["language"]
                found[key] = found.get(key, 0) + row["count_all"]
        if problems:
            raise UserError("\n".join(problems))
        return found

    def _table(self, file: DataFile) -> Dataset:
        if file not in self._tables:
            reader = self._reader
            identity = [
                f"custom/{VERSION}",
                reader.kind.name,
                reader.facts.columns.model_dump(),
                reader.split_names,
                reader.facts.splits.few_shot,
                reader.languages,
                reader.labels,
                reader.facts.languages is not None,
                file.language,
                file.split,
            ]
            self._tables[file], _ = cached_dataset(
                file.path, identity, ROW_FEATURES, lambda _: _to_tables(reader.read(file))
            )
        return self._tables[file]


def row_digests(rows: Dataset) -> bytes:
    """Return the digests of rows, one after the other, 16 bytes each."""
    digests: list[bytes] = rows.select_columns("digest").with_format("arrow")[:]["digest"].to_pylist()
    return b"".join(digests)


def without_added_columns(rows: Dataset) -> Dataset:
    """Return rows as examples, which have none of the columns that only the selection needs."""
    return rows.remove_columns(list(ADDED))


def _to_tables(rows: Iterator[Row]) -> Iterator[pa.Table]:
    while batch := list(itertools.islice(rows, ROWS_PER_TABLE)):
        columns: dict[str, Any] = {
            "id": [row.id for row in batch],
            "image_ids": [row.images for row in batch],
            "text": [row.text for row in batch],
            "language": [row.language for row in batch],
            "label": [row.label for row in batch],
            "caption": [row.caption for row in batch],
            "split": [row.split for row in batch],
            "shots": [row.shots for row in batch],
            "digest": [row.digest() for row in batch],
        }
        yield pa.table(columns, schema=ROW_FEATURES.arrow_schema)


def _check_ids(files: list[DataFile], parts: list[Dataset]) -> None:
    """Check that no id is in two files.

    Raises:
        UserError: An id is.
    """
    seen: dict[str, DataFile] = {}
    for file, part in zip(files, parts, strict=True):
        for id_ in part.select_columns("id").with_format("arrow")[:]["id"].to_pylist():
            if seen.setdefault(id_, file) is not file:
                raise UserError(
                    f"{file.path}: the id '{id_}' is that of a row of {seen[id_].path} too; give each row of a split "
                    "and language its own"
                )
