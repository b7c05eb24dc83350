"""Memory of large batches, which is taken again for later ones once nothing refers to it."""

from __future__ import annotations

import math
import weakref
from collections import deque

import numpy as np
import torch
from torch import Tensor

LARGE = 2**25  # bytes; glibc gives blocks from this size on back to the system, which has to clear them anew each time
KEPT = 2  # free blocks: one for the next batch, and one for the batch after it, made before the next may be free

_free: deque[np.ndarray] = deque(maxlen=KEPT)  # its methods are atomic, since tensors end in any thread


def empty_floats(*shape: int) -> Tensor:
    """Make a tensor with no particular content, in memory that an earlier one has had if it is large.

    No part of the memory is in use elsewhere: a block is free when its tensor and all that shares its memory are gone.

    Args:
        shape: The shape.

    Returns:
        float32.
    """
    size = math.prod(shape)
    if 4 * size < LARGE:
        return torch.empty(shape)
    block = _take(size)
    numbers = block[:size]
    weakref.finalize(numbers, _free.append, block).atexit = False
    return torch.from_numpy(numbers).view(shape)


def _take(size: int) -> np.ndarray:
    """Take a free block of at least so many numbers; one that is smaller is dropped."""
    try:
        block = _free.pop()
    except IndexError:
        return np.empty(size, dtype=np.float32)
    return block if len(block) >= size else np.empty(size, dtype=np.float32)
