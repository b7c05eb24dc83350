"""A column that is read block by block gives what the dataset's own column gives."""

from __future__ import annotations

import pytest
from datasets import Dataset

from iglue_plugins.data import columns
from iglue_plugins.data.columns import BlockwiseColumn


@pytest.mark.parametrize("indices", [None, [6, 1, 1, 4, 0]], ids=["all", "selected"])
def test_a_loop_reads_blocks_in_order(monkeypatch: pytest.MonkeyPatch, indices: list[int] | None) -> None:
    monkeypatch.setattr(columns, "READ_AT_ONCE", 3)
    values = [f"text {number}" for number in range(7)]
    dataset = Dataset.from_dict({"text": values, "other": values[::-1]})
    if indices is not None:
        dataset, values = dataset.select(indices), [values[i] for i in indices]
    column = BlockwiseColumn(dataset, "text")
    read: list[slice] = []

    class Recording:
        def __getitem__(self, place: slice) -> list[str]:
            read.append(place)
            return dataset["text"][place]

        def __len__(self) -> int:
            return len(dataset)

    column._column = Recording()
    assert list(column) == values
    assert [(place.start, place.stop) for place in read] == [(i, i + 3) for i in range(0, len(values), 3)]
    assert (len(column), column[1], column[1:3]) == (len(values), values[1], values[1:3])
