"""How many threads PyTorch and NumPy compute with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from threadpoolctl import ThreadpoolController
from torch import nn

SMALL_MODEL = 20_000_000  # parameters; below it, several threads are slower than one on a CPU


@contextmanager
def single_thread() -> Iterator[None]:
    """Compute on one thread in the block, for work that is too small to be worth sharing between threads."""
    with _thread_pools().limit(limits=1):
        yield


@contextmanager
def single_loop_thread() -> Iterator[None]:
    """Run the loops of PyTorch that this thread begins in the block on this thread; what others compute is left alone.

    `single_thread` limits NumPy's threads too, whose number all threads of a process share.
    """
    # PyTorch sets the number at its first use in a thread, which would undo the limit.
    if torch.get_num_threads() == 1:
        yield
        return
    with _thread_pools().limit(limits=1, user_api="openmp"):
        yield


@contextmanager
def threads_for(model: nn.Module) -> Iterator[None]:
    """Compute on one thread in the block if the model is small, unless OMP_NUM_THREADS is set.

    Args:
        model: The model that is trained or evaluated in the block.
    """
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if parameters < SMALL_MODEL and "OMP_NUM_THREADS" not in os.environ:
        with single_thread():
            yield
    else:
        yield


@cache
def _thread_pools() -> ThreadpoolController:
    """Find the thread pools of the libraries that are loaded; the search takes milliseconds, so it is done once."""
    return ThreadpoolController()
