"""Memory of large batches: taken again when nothing refers to it any more, and not a moment earlier."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from iglue_plugins.data.stores import batch_memory
from iglue_plugins.data.stores.batch_memory import KEPT, empty_floats
from iglue_plugins.data.stores.mapped_regions import MappedRegions


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_memory, "LARGE", 16)
    monkeypatch.setattr(batch_memory, "_free", deque(maxlen=KEPT))


def address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def test_memory_is_taken_again_for_a_batch_of_the_same_size_or_a_smaller_one() -> None:
    first = empty_floats(3, 4, 5)
    assert (first.shape, first.dtype, first.is_contiguous()) == ((3, 4, 5), torch.float32, True)
    place = address(first)
    del first
    second = empty_floats(2, 4, 5)
    assert (address(second), second.shape) == (place, (2, 4, 5))


@pytest.mark.parametrize(
    "kept",
    [lambda made: made, lambda made: made[1:, 0], lambda made: made[2].numpy(), lambda made: made.untyped_storage(),
     lambda made: torch.nn.Parameter(made.view(-1)), lambda made: memoryview(made.numpy())],
    ids=["tensor", "part", "array", "storage", "parameter", "buffer"],
)  # fmt: skip
def test_memory_is_not_taken_while_anything_of_it_is_kept(kept: Callable[[Tensor], object]) -> None:
    made = empty_floats(3, 4, 5).fill_(7)
    place, part = address(made), kept(made)
    del made
    others = [empty_floats(3, 4, 5).fill_(1) for _ in range(4)]
    assert place not in map(address, others)
    assert part is not None
    del part
    assert place in [address(empty_floats(3, 4, 5))]


def test_a_larger_batch_gets_memory_of_its_own_and_only_some_is_kept() -> None:
    made = [empty_floats(8) for _ in range(KEPT + 3)]
    del made
    assert len(batch_memory._free) == KEPT
    larger = empty_floats(9).fill_(3)
    assert larger.shape == (9,)
    assert len(batch_memory._free) == KEPT - 1


def test_small_batches_are_left_to_the_allocator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_memory, "LARGE", 2**25)
    empty_floats(3, 4)
    assert not batch_memory._free


def test_gathered_regions_are_the_same_in_memory_that_has_been_used(
    write_store: Callable, random_images: Callable, tmp_path
) -> None:
    """Padding too, in which the regions of an earlier batch have stood."""
    store = MappedRegions(write_store(tmp_path / "store", random_images(7)))
    rows = [np.asarray(rows) for rows in ([0, 1, 2], [3, 4, 5], [6, 1, 1], [2, 0])]
    kept = [store.gather(of_batch) for of_batch in rows]
    expected = pickle.loads(pickle.dumps(kept))
    del kept
    for of_batch, before in zip(rows, expected, strict=True):
        found = store.gather(of_batch)
        assert all(torch.equal(found[key], before[key]) for key in before)
        found["region_features"].fill_(float("nan"))
