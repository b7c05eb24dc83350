"""Writing a checkpoint's folder as a whole or not at all."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from iglue_plugins.errors import UserError, writing

# What transformers and tokenizers raise of files that are not there, or hold something else than they should.
FOUND_DAMAGED = (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, SafetensorError)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A hidden folder to write in, which becomes `folder` at the end, or goes if the block raises.

    Raises:
        UserError: `folder` has something in it, or cannot be written.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"{folder}: found something there, expected a new or empty folder")
    unfinished = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp")
    try:
        with writing(folder):
            unfinished.mkdir(parents=True)
            yield unfinished
            unfinished.replace(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def first_line(error: Exception) -> str:
    """What an error of a library says first."""
    return str(error).strip().partition("\n")[0]
