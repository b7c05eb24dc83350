"""Reading ahead: the batches of a training or an evaluation, made by worker processes while the model computes."""

from __future__ import annotations

import os
import signal
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkContext, ForkProcess
from multiprocessing.util import Finalize
from typing import Any, Literal, TypeVar

from torch.utils.data import DataLoader, Dataset
from typing_extensions import override

from iglue_plugins.data.image_kind import ImageKind
from iglue_plugins.utils.errors import UserError, first_line
from iglue_plugins.utils.processes import end_with_parent

T = TypeVar("T")

Workers = int | Literal["auto"]

MAX_WORKERS = 8  # of 'auto': about as many as keep one GPU busy with pictures of 224 pixels
PREFETCHED_BATCHES = 2  # that each worker has ready
SECONDS_TO_END = 0.5  # that a worker has where an error leaves it behind


def worker_count(workers: Workers, reads: ImageKind) -> int:
    """Choose the number of worker processes.

    Args:
        workers: The number, or 'auto': none for region features, whose reading takes less than sending them from
            process to process, and for pixels one for each core that this process may use but one, at most 8.
        reads: What the model reads.
    """
    if workers != "auto":
        return workers
    return 0 if reads == "regions" else max(1, min(MAX_WORKERS, len(os.sched_getaffinity(0)) - 1))


def loader(items: Dataset[T], workers: int, pin_memory: bool = False) -> DataLoader[T]:
    """Make a loader of items in their order.

    An item depends on its position alone, so neither the number of workers nor a restart changes it. Workers are
    forked: they share what has been read already, and nothing has to be pickled. A worker that meets a `UserError`
    hands it on as an item; `checked` raises it.

    Args:
        items: A map-style dataset whose items are batches.
        workers: The number of worker processes; 0 makes the items in this process.
        pin_memory: Whether items are put into pinned memory.
    """
    return DataLoader(
        _CaughtErrors(items) if workers else items,
        collate_fn=first,
        num_workers=workers,
        prefetch_factor=PREFETCHED_BATCHES if workers else None,
        multiprocessing_context=_WorkerContext() if workers else None,
        worker_init_fn=_start_worker if workers else None,
        pin_memory=pin_memory,
    )


def first(items: list[T]) -> T:
    """Return the single item of a list."""
    return items[0]


class _WorkerProcess(ForkProcess):
    """A worker, which is killed if it does not end soon: it holds nothing that could be lost.

    torch would wait five seconds for each worker that an error has left behind; and Python, at the end of this process,
    forever for one that waits in the midst of handing on an item.
    """

    @override
    def start(self) -> None:
        super().start()
        Finalize(None, _kill, (weakref.ref(self),), exitpriority=0)

    @override
    def join(self, timeout: float | None = None) -> None:
        super().join(None if timeout is None else min(timeout, SECONDS_TO_END))

    @override
    def terminate(self) -> None:
        self.kill()


def _kill(worker: weakref.ref[_WorkerProcess]) -> None:
    """Kill a worker that is still there when this process ends, before Python waits for it."""
    process = worker()
    if process is not None:
        process.kill()


class _WorkerContext(ForkContext):
    Process = _WorkerProcess


def _start_worker(worker: int) -> None:
    """Let a worker end with its parent, and pass over the first SIGTERM, which a cluster sends to all of a job.

    The process that it works for ends its step and saves a checkpoint then. A worker that is left behind, since that
    process was killed, would wait forever for someone to take the items that it has made.

    Args:
        worker: The worker's number, which is not used.
    """
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    end_with_parent()


class FailedItem(dict[str, Any]):
    """Stands for an item that a worker could not make; an error that crosses processes would bring its traceback.

    Args:
        sentence: What the `UserError` says.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence=sentence)

    def __reduce__(self) -> tuple[type[FailedItem], tuple[str]]:
        return FailedItem, (self["sentence"],)


def checked(item: T) -> T:
    """Return an item of a `loader`.

    Args:
        item: The item.

    Raises:
        UserError: A worker could not make the item.
    """
    if isinstance(item, FailedItem):
        raise UserError(item["sentence"])
    return item


class _CaughtErrors(Dataset[Any]):
    """Items, with a `FailedItem` where making one raises a `UserError`."""

    def __init__(self, items: Dataset[Any]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)  # type: ignore[arg-type]  # torch's base class does not say that datasets have a length

    def __getitem__(self, position: int) -> Any:
        try:
            return self._items[position]
        except UserError as error:
            return FailedItem(str(error))


class MadeItems(Dataset[T]):
    """A map-style dataset of items that a function makes.

    Args:
        make: Makes item i.
        count: The number of items.
    """

    def __init__(self, make: Callable[[int], T], count: int) -> None:
        self._make = make
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, position: int) -> T:
        return self._make(position)


def read_ahead(make: Callable[[int], T], count: int, workers: int) -> Iterator[T]:
    """Make items 0, 1, ..., ahead of their use where there are workers.

    Args:
        make: Makes item i.
        count: The number of items.
        workers: The number of worker processes; 0 makes each item when it is asked for.

    Raises:
        UserError: An item cannot be made, or a worker was killed.
    """
    if workers and count > 1:
        with _explain_killed_workers():
            yield from map(checked, loader(MadeItems(make, count), min(workers, count)))
    else:
        yield from map(make, range(count))


@contextmanager
def _explain_killed_workers() -> Iterator[None]:
    """Turn the error that torch raises for a worker that was killed into a sentence."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise UserError(
            f"a process that works for this one was killed, perhaps for want of memory ({first_line(error)}); the same "
            "command continues, and takes less memory with fewer processes"
        ) from error
