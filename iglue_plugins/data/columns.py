"""Columns of a dataset that are read block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from datasets import Dataset
from typing_extensions import override

READ_AT_ONCE = 10_000  # rows; single ones take twelve times as long to read


class BlockwiseColumn(Sequence[Any]):
    """A column of a dataset, of which a loop reads some rows at once, so that it is never in memory as a whole.

    Args:
        dataset: The dataset.
        name: The column's name.
    """

    def __init__(self, dataset: Dataset, name: str) -> None:
        self._column = dataset[name]

    def __len__(self) -> int:
        return len(self._column)

    @override
    def __getitem__(self, place: Any) -> Any:
        return self._column[place]

    @override
    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self), READ_AT_ONCE):
            yield from self._column[start : start + READ_AT_ONCE]
