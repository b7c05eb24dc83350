"""Items that a thread makes ahead: the same ones in the same order, errors where they belong, no thread left over."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
import torch

from iglue_plugins.data.loading import MadeItems, loader
from iglue_plugins.data.thread_loading import AHEAD, ThreadedItems, uses_thread
from iglue_plugins.utils.errors import UserError


def test_a_thread_is_for_regions_and_a_gpu_unless_the_number_of_workers_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not uses_thread("auto", "regions")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert uses_thread("auto", "regions")
    assert not any([uses_thread("auto", "pixels"), uses_thread(0, "regions"), uses_thread(2, "regions")])


def test_items_come_in_their_order_and_each_is_made_once() -> None:
    made: list[int] = []
    items = ThreadedItems(MadeItems(lambda number: made.append(number) or str(number), 9))
    assert list(loader(items, 0)) == [str(number) for number in range(9)]
    assert made == list(range(9))


def test_the_next_items_are_made_while_one_is_in_use_and_no_more() -> None:
    made: list[int] = []
    items = ThreadedItems(MadeItems(lambda number: made.append(number) or number, 9))
    assert items[0] == 0
    wait_until(lambda: len(made) == 1 + AHEAD)
    time.sleep(0.05)
    assert made == list(range(1 + AHEAD))


def test_a_training_that_resumes_begins_in_the_middle() -> None:
    items = ThreadedItems(MadeItems(str, 9))
    assert [items[place] for place in (6, 7, 8)] == ["6", "7", "8"]
    assert [items[place] for place in (2, 3, 0)] == ["2", "3", "0"]


def test_an_error_is_raised_for_the_item_that_has_it_and_not_before() -> None:
    def make(number: int) -> int:
        if number == 2:
            raise UserError("picture a/1.jpg is damaged; copy it again")
        return number

    items, seen = ThreadedItems(MadeItems(make, 4)), []
    with pytest.raises(UserError, match="picture a/1.jpg is damaged"):
        for place in range(4):
            seen.append(items[place])
    assert seen == [0, 1]
    assert items[3] == 3


def test_a_thread_takes_no_random_number_of_the_training() -> None:
    """A training draws its dropout from the same generator."""
    drawn = []
    for items in (MadeItems(str, 4), ThreadedItems(MadeItems(str, 4))):
        torch.manual_seed(3)
        assert list(loader(items, 0)) == ["0", "1", "2", "3"]
        drawn.append(torch.rand(2))
    assert torch.equal(*drawn)


def test_the_thread_ends_with_its_items() -> None:
    items = ThreadedItems(MadeItems(lambda _: threading.current_thread(), 9))
    thread = items[0]
    assert thread is not threading.current_thread() and thread.is_alive()
    del items
    wait_until(lambda: not thread.is_alive())


ENDS = """
import os, signal, sys, time
from iglue_plugins.data.loading import MadeItems
from iglue_plugins.data.thread_loading import ThreadedItems
signal.signal(signal.SIGINT, signal.default_int_handler)
items = ThreadedItems(MadeItems(lambda number: time.sleep(0.2 * number) or number, 1000))
items[0]
print("begun", flush=True)
{end}
"""


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("sys.exit(3)", 3),
        ("raise ZeroDivisionError", 1),
        ("os.kill(os.getpid(), signal.SIGINT); items[9]", -2),
        ("os.kill(os.getpid(), signal.SIGTERM); items[9]", -15),
    ],
    ids=["exit", "error", "SIGINT", "SIGTERM"],
)
def test_a_process_ends_soon_whatever_the_thread_makes(end: str, code: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ENDS.format(end=end)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (code, "begun\n"), ended.stderr


def wait_until(happens) -> None:
    """Wait for what another thread does."""
    deadline = time.monotonic() + 10
    while not happens() and time.monotonic() < deadline:
        time.sleep(0.001)
    assert happens()
