"""The next batches of a training, made by a thread while a GPU computes."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import torch
from torch.utils.data import Dataset
from torch.utils.data._utils.pin_memory import pin_memory as pinned

from iglue_plugins.data.image_kind import ImageKind
from iglue_plugins.data.loading import Workers

T = TypeVar("T")

AHEAD = 2  # items that are made before they are asked for


def uses_thread(workers: Workers, reads: ImageKind) -> bool:
    """Tell whether a thread makes the batches of a training ahead: where a GPU computes and the model reads regions.

    Reading region features takes less than sending them from another process, but the GPU would wait for it. A CPU
    that computes the step itself gains nothing.

    Args:
        workers: The number of worker processes, or 'auto'.
        reads: What the model reads.
    """
    return workers == "auto" and reads == "regions" and torch.cuda.is_available()


class ThreadedItems(Dataset[T]):
    """Items of a dataset, of which a thread makes the next ones; whoever takes them in their order waits little.

    An item depends on its position alone, so it does not matter who makes it, nor what has been made before. What
    making one raises is raised where it is asked for. All are made by the one thread, so that nothing is made twice at
    once. When the process ends, it makes the items that it has begun, which no one has to wait for long.

    Args:
        items: A map-style dataset.
        pin_memory: Whether the thread puts items into pinned memory.
    """

    def __init__(self, items: Dataset[T], pin_memory: bool = False) -> None:
        self._items = items
        self._pin_memory = pin_memory
        self._ahead: dict[int, Future[T]] = {}
        # CUDA's current device is each thread's own, and pinning memory is done by the device.
        choose_device = partial(torch.cuda.set_device, torch.cuda.current_device()) if pin_memory else None
        self._thread = ThreadPoolExecutor(1, "batches", choose_device)

    def __len__(self) -> int:
        return len(self._items)  # type: ignore[arg-type]  # torch's base class does not say that datasets have a length

    def __getitem__(self, position: int) -> T:
        wanted = [position, *range(position + 1, min(position + 1 + AHEAD, len(self)))]
        for other in self._ahead.keys() - set(wanted):
            self._ahead.pop(other).cancel()
        for place in wanted:
            if place not in self._ahead:
                self._ahead[place] = self._thread.submit(self._make, place)
        return self._ahead.pop(position).result()

    def _make(self, position: int) -> T:
        item = self._items[position]
        return pinned(item) if self._pin_memory else item
