"""How many threads compute: limits in a block, of which some are for the thread that asks alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from iglue_plugins.utils.threads import _thread_pools, single_loop_thread, single_thread


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    with _thread_pools().limit(limits=3):
        yield
    torch.set_num_threads(before)


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in _thread_pools().info() if pool["user_api"] == "blas"}


def test_a_block_computes_on_one_thread(three_threads: None) -> None:
    with single_thread():
        assert (torch.get_num_threads(), blas_threads()) == (1, {1})
    assert torch.get_num_threads() == 3


def test_loops_on_one_thread_leave_other_threads_and_libraries_alone(three_threads: None) -> None:
    inside, leave = threading.Event(), threading.Event()
    seen: list[int] = []

    def read() -> None:
        with single_loop_thread():
            seen.append(torch.get_num_threads())
            inside.set()
            leave.wait(10)
        seen.append(torch.get_num_threads())

    thread = threading.Thread(target=read)
    blas = blas_threads()
    thread.start()
    assert inside.wait(10)
    assert (torch.get_num_threads(), blas_threads()) == (3, blas)
    leave.set()
    thread.join()
    assert seen == [1, 3]
