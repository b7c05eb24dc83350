"""What becomes of memory that has been freed."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # settings of glibc's mallopt, from its malloc.h
NEVER, NONE = -1, 0
CHOICES = {"MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"}  # environment variables of glibc


@cache
def keep_memory() -> None:
    """Let this process keep the memory that it frees, from now on, for what it allocates next.

    glibc gives blocks from 32 MiB on, and what is free at the end of the heap, back to the system, which has to find
    and clear each page anew. A step allocates what the step before it has freed, GiBs at base size, so it is kept, and
    given back when the process ends. The peak may rise, by up to a quarter, where what is free lies in pieces.

    Where the environment says what glibc gives back, or another C library is in its place, nothing is changed.
    """
    is_chosen = "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "") or not CHOICES.isdisjoint(os.environ)
    if sys.platform != "linux" or is_chosen:
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(M_MMAP_MAX, NONE)
        library.mallopt(M_TRIM_THRESHOLD, NEVER)
