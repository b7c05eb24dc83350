"""The inputs of a model for some rows, opaque to all but the model and its processor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

RowIndex = Tensor | np.ndarray | slice


@dataclass(frozen=True, eq=False)
class Inputs(Mapping[str, Any]):
    """What a model takes as keyword arguments for some (text, image) rows, or for one of the two sides.

    A value is a tensor, or a dict, list or tuple of values, and its tensors have a row axis first. Only values under a
    key of `shared` have none: they belong to all rows together, and other values say which part of them a row has. So
    may an image that stands in several rows be held once, or images of different sizes as one sequence of patches with
    the size of each beside it.

    Attributes:
        tensors: The values by keyword argument.
        rows: The number of rows.
        shared: The keys of values without a row axis.
    """

    tensors: Mapping[str, Any]
    rows: int
    shared: frozenset[str] = frozenset()

    @override
    def __getitem__(self, key: str) -> Any:
        return self.tensors[key]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    @override
    def __len__(self) -> int:
        return len(self.tensors)

    def select(self, index: RowIndex) -> Inputs:
        """Select rows.

        Args:
            index: Positions of rows (int64, in any order and number), a bool for each row, or a slice.

        Returns:
            The inputs of these rows; shared values stay whole.
        """
        if isinstance(index, np.ndarray):
            index = torch.from_numpy(index)
        if isinstance(index, slice):
            rows = len(range(*index.indices(self.rows)))
        else:
            rows = int(index.sum()) if index.dtype == torch.bool else len(index)
        return self._by_row(lambda value: value[index], rows)

    def repeat_each(self, times: int) -> Inputs:
        """Repeat each row, so that its copies are neighbors.

        Args:
            times: The number of copies of a row.
        """
        if times == 1:
            return self
        return self._by_row(lambda value: value.repeat_interleave(times, 0), self.rows * times)

    def repeat_all(self, times: int) -> Inputs:
        """Repeat the sequence of all rows; nothing is copied for a single time.

        Args:
            times: The number of copies of the sequence.
        """
        if times == 1:
            return self
        return self._by_row(lambda value: value.expand(times, *value.shape).flatten(0, 1), self.rows * times)

    def split(self, size: int) -> list[Inputs]:
        """Split into inputs of at most so many rows.

        Args:
            size: The largest number of rows of a part.
        """
        return [self.select(slice(start, start + size)) for start in range(0, self.rows, size)]

    def merge(self, other: Inputs) -> Inputs:
        """Put the inputs of the same rows together.

        Args:
            other: Inputs of as many rows, under other keys.

        Raises:
            ValueError: The numbers of rows differ, or both have a key.
        """
        if self.rows != other.rows or not self.keys().isdisjoint(other.keys()):
            raise ValueError(
                f"inputs of {self.rows} rows and {sorted(self)} do not fit {other.rows} and {sorted(other)}"
            )
        return Inputs({**self.tensors, **other.tensors}, self.rows, self.shared | other.shared)

    def replace(self, removed: Iterable[str], added: Mapping[str, Any]) -> Inputs:
        """Replace values that have a row axis by others that have one.

        Args:
            removed: The keys that are left out.
            added: The values that are put in.
        """
        kept = {key: value for key, value in self.tensors.items() if key not in set(removed)}
        return Inputs({**kept, **added}, self.rows, self.shared - set(removed))

    def map(self, function: Callable[[Tensor], Tensor], keys: Iterable[str] | None = None) -> Inputs:
        """Apply a function to tensors, which keeps their rows.

        Args:
            function: The function.
            keys: The keys of the values whose tensors it is applied to; None: all.
        """
        chosen = self.tensors.keys() if keys is None else set(keys)
        values = {key: _map(function, value) if key in chosen else value for key, value in self.tensors.items()}
        return Inputs(values, self.rows, self.shared)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Inputs:
        """Return the inputs on a device; see `move`."""
        return self.map(lambda value: move(value, device, non_blocking))

    def _by_row(self, function: Callable[[Tensor], Tensor], rows: int) -> Inputs:
        values = {key: value if key in self.shared else _map(function, value) for key, value in self.tensors.items()}
        return Inputs(values, rows, self.shared)


def _map(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Apply a function to the tensors of a nested value."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, Mapping):
        return {key: _map(function, part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_map(function, part) for part in value)
    return value


def move(value: Tensor, device: torch.device | str, non_blocking: bool = False) -> Tensor:
    """Move a tensor to a device, where models read it: float16, in which features are stored, becomes float32 there.

    Args:
        value: The tensor.
        device: The device.
        non_blocking: Whether copies from pinned memory are not waited for.
    """
    moved = value.to(device, non_blocking=non_blocking)
    return moved.float() if moved.dtype == torch.float16 else moved
