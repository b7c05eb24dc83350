"""Imports without collections of garbage."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from iglue_plugins.utils.imports import heavy_imports


def test_no_garbage_is_collected_in_the_block_and_again_after_it() -> None:
    with heavy_imports():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ImportError), heavy_imports():
        raise ImportError
    assert gc.isenabled()


def test_who_collects_no_garbage_still_does_not() -> None:
    gc.disable()
    try:
        with heavy_imports():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


IMPORTS = """
import gc, sys
from iglue_plugins.utils.imports import heavy_imports
with heavy_imports():
    import transformers
before = gc.get_freeze_count()
with heavy_imports():
    import transformers
print(before > 10_000, gc.get_freeze_count() <= before)
"""


def test_what_the_first_block_imports_is_left_out_of_collections() -> None:
    said = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True).stdout
    assert said == "True True\n"
