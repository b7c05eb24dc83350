"""The GPUs of this machine, shared out among runs that go at a time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import takewhile

VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"  # it takes effect in a process that has not used CUDA yet


def visible_gpus() -> list[str]:
    """List the GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES takes.

    Returns:
        The names in that variable as they are (numbers, or identifiers of GPUs and of MIG's parts), without what CUDA
        ignores: -1 and all after it. Where the variable is not set, the numbers of all GPUs.
    """
    names = os.environ.get(VISIBLE_GPUS)
    if names is None:
        import torch

        return [str(number) for number in range(torch.cuda.device_count())]
    return list(takewhile(lambda name: name not in ("", "-1"), map(str.strip, names.split(","))))


def least_used(gpus: Sequence[str], in_use: Sequence[str | None]) -> str | None:
    """Choose the GPU for another run.

    Args:
        gpus: The GPUs to choose from.
        in_use: The GPU of each run that goes on.

    Returns:
        The first of the GPUs with the fewest runs, or None if there is none.
    """
    return min(gpus, key=list(in_use).count, default=None)
