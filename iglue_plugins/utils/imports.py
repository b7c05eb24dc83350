"""Imports that take seconds."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heavy_imports() -> Iterator[None]:
    """Leave out collections of garbage for the block, which imports PyTorch and transformers.

    They make hundreds of thousands of objects that stay, and each collection would go through them again: that is a
    quarter of the time which importing them takes. Later collections leave out what is there after the block, if it
    has imported transformers; each training begins with a collection.

    Yields:
        Nothing.
    """
    is_first, was_enabled = "transformers" not in sys.modules, gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
        if is_first and "transformers" in sys.modules:  # no model is there yet that would be kept
            gc.freeze()
