"""Freed memory that a process keeps."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# Prints the pages that making a block of 64 MiB faults, after one of this size has been freed.
PROGRAM = """
import resource
import numpy as np
from iglue_plugins.utils.memory import keep_memory

keep_memory()
np.ones(2**24, dtype=np.float32)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(2**24, dtype=np.float32)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 2**26 // 2**12
USERS_OWN = {"MALLOC_MMAP_THRESHOLD_": "262144"}


@pytest.mark.skipif(sys.platform != "linux", reason="the setting is of Linux's C library")
@pytest.mark.parametrize(("given", "is_kept"), [({}, True), (USERS_OWN, False)])
def test_memory_that_was_freed_is_used_again_unless_the_user_has_set_the_allocator(
    given: dict[str, str], is_kept: bool
) -> None:
    # Small pages, whatever the system's default is, so that they can be counted.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    environment |= {"NUMPY_MADVISE_HUGEPAGE": "0", **given}
    command = [sys.executable, "-P", "-c", PROGRAM]
    faults = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    assert (int(faults) < PAGES / 100) == is_kept
