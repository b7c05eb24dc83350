"""Writing what readers may open at any time."""

from __future__ import annotations

import os
from pathlib import Path

from iglue_plugins.errors import UserError


def write_atomic(path: Path, content: bytes) -> Path:
    """Write `content` so that a reader sees the old file or the whole new one, and return `path`.

    Raises:
        UserError: the file cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            unfinished.write_bytes(content)
            return unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}), expected a folder to write in") from error
