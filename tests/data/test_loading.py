"""Reading ahead by worker processes: the items, their order, and what becomes of errors and signals."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from iglue_plugins.data import loading
from iglue_plugins.data.batching import Batch
from iglue_plugins.data.inputs import Inputs
from iglue_plugins.data.loading import MadeItems, checked, loader, read_ahead, worker_count
from iglue_plugins.utils.errors import UserError


def make_batch(number: int) -> Batch:
    """A batch whose sides are parts of its inputs, one of them nested and one without rows."""
    text = Inputs({"ids": torch.full((2, 3), number)}, 2)
    image = Inputs({"parts": {"sizes": [torch.rand(2, number + 1)]}, "table": torch.eye(2)}, 2, frozenset({"table"}))
    identity = torch.arange(2)
    return Batch(text.merge(image), text, image, torch.full((2,), number), identity[:, None], identity)


def seeded_batch(number: int) -> Batch:
    torch.manual_seed(number)
    return make_batch(number)


def assert_same_batch(found: Batch, expected: Batch) -> None:
    assert (found.inputs.rows, found.inputs.shared, found.caption) == (2, {"table"}, None)
    assert torch.equal(found.labels, expected.labels) and torch.equal(found.image_identity, expected.image_identity)
    assert torch.equal(found.inputs["ids"], expected.inputs["ids"])
    assert torch.equal(found.image["parts"]["sizes"][0], expected.image["parts"]["sizes"][0])


# How many workers


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 1), (4, 3), (9, 8), (64, 8)])
def test_pixels_are_read_by_a_process_for_each_core_but_one(
    cores: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading.os, "sched_getaffinity", lambda process: set(range(cores)))
    assert worker_count("auto", "pixels") == expected
    assert worker_count("auto", "regions") == 0


@pytest.mark.parametrize("reads", ["regions", "pixels"])
def test_a_number_of_workers_is_taken_as_it_is(reads: str) -> None:
    assert [worker_count(workers, reads) for workers in (0, 3, 20)] == [0, 3, 20]


# Items


@pytest.mark.parametrize(("workers", "count"), [(0, 5), (1, 5), (2, 5), (9, 2)])
def test_items_come_in_their_order_whatever_the_workers(workers: int, count: int) -> None:
    found = list(read_ahead(seeded_batch, count, workers))
    assert len(found) == count
    for number, batch in enumerate(found):
        assert_same_batch(batch, seeded_batch(number))


@torch.inference_mode()
def test_items_are_read_in_inference_mode_too() -> None:
    """As evaluation does, which forks the workers there."""
    for number, batch in enumerate(read_ahead(seeded_batch, 3, 2)):
        assert (batch.inputs["ids"] * 2).sum() == 12 * number


def test_items_are_made_by_so_many_other_processes() -> None:
    processes = list(read_ahead(lambda number: os.getpid(), 6, 2))
    assert len(set(processes)) == 2 and os.getpid() not in processes
    assert list(read_ahead(lambda number: os.getpid(), 1, 2)) == [os.getpid()], "one item is worth no process"


def test_without_workers_an_item_is_made_when_it_is_asked_for() -> None:
    made: list[int] = []
    items = read_ahead(lambda number: made.append(number) or number, 3, 0)
    assert (next(items), made) == (0, [0])


def test_a_loader_takes_as_many_random_numbers_with_workers_as_without() -> None:
    """A training draws its dropout from the same generator."""
    drawn = []
    for workers in (0, 2):
        torch.manual_seed(3)
        assert list(loader(MadeItems(str, 4), workers)) == ["0", "1", "2", "3"]
        drawn.append(torch.rand(2))
    assert torch.equal(*drawn)


# Errors and signals


def failing(error: Exception) -> Callable[[int], int]:
    def make(number: int) -> int:
        if number == 2:
            raise error
        return number

    return make


@pytest.mark.parametrize("workers", [0, 2])
def test_a_user_error_has_its_sentence_and_no_more(workers: int) -> None:
    sentence = "picture a/1.jpg is damaged; copy it again"
    items, seen = read_ahead(failing(UserError(sentence)), 4, workers), []
    with pytest.raises(UserError) as raised:
        seen.extend(items)
    assert str(raised.value) == sentence
    assert seen == [0, 1]


@pytest.mark.parametrize("workers", [0, 2])
def test_other_errors_stay_what_they_are(workers: int) -> None:
    with pytest.raises(ZeroDivisionError, match="by nothing"):
        list(read_ahead(failing(ZeroDivisionError("by nothing")), 4, workers))


def test_workers_that_an_error_leaves_behind_end_soon() -> None:
    """The error's traceback holds what would end them, until it is collected as garbage."""
    others = set(multiprocessing.active_children())  # of other tests in this process
    with pytest.raises(ZeroDivisionError) as raised:
        list(read_ahead(failing(ZeroDivisionError("by nothing")), 9, 2))
    workers = set(multiprocessing.active_children()) - others
    assert len(workers) == 2
    start = time.monotonic()
    del raised
    gc.collect()
    assert time.monotonic() - start < 8, "PyTorch waits for 5 seconds for each"
    for worker in workers:
        worker.join(20)
        assert not worker.is_alive()


def test_a_loader_hands_on_the_error_where_its_item_is_used() -> None:
    items: list[Any] = list(loader(MadeItems(failing(UserError("no such picture")), 4), 1))
    assert [checked(item) for item in items if item is not items[2]] == [0, 1, 3]
    with pytest.raises(UserError, match="^no such picture$"):
        checked(items[2])


def test_a_worker_passes_over_the_first_sigterm() -> None:
    """A cluster sends it to all processes of a job, and the one that trains still needs batches."""

    def make(number: int) -> int:
        if number == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return number

    assert list(read_ahead(make, 5, 1)) == [0, 1, 2, 3, 4]


def test_a_second_sigterm_ends_a_worker() -> None:
    def make(number: int) -> int:
        if number:
            os.kill(os.getpid(), signal.SIGTERM)
        return number

    with pytest.raises(UserError, match="a process that works for this one was killed.*exited unexpectedly"):
        list(read_ahead(make, 5, 1))


def test_a_process_ends_although_its_workers_wait_to_hand_on_items() -> None:
    """Python waits at its end for processes that are left, and these wait for room in a pipe."""
    script = (
        "import sys, time\n"
        "from iglue_plugins.data.loading import read_ahead\n"
        "items = read_ahead(lambda i: bytes(10_000_000), 100, 2)\n"
        "next(items)\n"
        "time.sleep(1)\n"  # in which both workers fill their pipe
        "sys.exit(3)"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=90, check=False).returncode == 3
