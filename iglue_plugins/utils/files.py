"""Files that are whole or not there, also after a crash or a power cut; hashes of their content."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from iglue_plugins.utils.errors import UserError, explain_write_errors

TRAINING_RECORD = ".training.json"  # in the folder of a run's model
MODEL_CARD = "README.md"  # beside it; written anew when scores are added


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give the block a temporary path to write, which replaces `path` at the end and is removed if the block fails.

    A reader sees the old file or the whole new one, and several processes may write the same file.

    Args:
        path: The file to write. Missing parent folders are made.

    Yields:
        A path in the same folder, which no other process uses.

    Raises:
        OSError: The file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: Path, *content: bytes | memoryview) -> Path:
    """Write a file so that it has either the old content or the new one.

    Args:
        path: The file to write. Missing parent folders are made.
        *content: The new content, one part after the other.

    Returns:
        `path`.

    Raises:
        UserError: The file cannot be written.
    """
    with explain_write_errors(path), atomic_path(path) as temporary, temporary.open("wb") as file:
        file.writelines(content)
    return path


def seal(content: bytes) -> bytes:
    """Put the hash of a file's content before it, so that `read_sealed` can tell whether the file is damaged."""
    return seal_line(content) + content


def seal_line(*content: bytes | memoryview) -> bytes:
    """Return the line that `seal` puts before a file's content, here given in parts."""
    digest = hashlib.sha256()
    for part in content:
        digest.update(part)
    return f"{digest.hexdigest()}\n".encode()


def read_sealed(path: Path) -> bytes | None:
    """Read a file whose content was sealed by `seal`.

    Args:
        path: The file.

    Returns:
        The content, or None if there is no such file, it cannot be read, or its content is not what was written.
    """
    try:
        with path.open("rb") as file:
            line, content = file.readline(), file.read()
    except OSError:
        return None
    return content if line == seal_line(content) else None


def write_json_atomic(path: Path, data: Any) -> None:
    """Write indented JSON; see `write_atomic`."""
    write_atomic(path, f"{json.dumps(data, ensure_ascii=False, indent=2)}\n".encode())


def write_jsonl_atomic(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a JSON object on each line; see `write_atomic`."""
    write_atomic(path, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode())


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give the block a hidden folder to write in, which becomes `folder` at the end and is removed if the block fails.

    Args:
        folder: The folder to make; it may exist if it is empty.

    Yields:
        The hidden folder, beside `folder`.

    Raises:
        UserError: `folder` is not empty, or cannot be written.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"{folder}: is not empty; name a new or empty folder")
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp")
    try:
        with explain_write_errors(folder):
            temporary.mkdir(parents=True)
            yield temporary
            temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Return when all files of a folder are on the disk, so that a power cut loses none of them.

    Args:
        folder: The folder; folders inside it are included.
    """
    for path in (*folder.rglob("*"), folder):
        _sync(path)


def content_hash(path: str | Path) -> str:
    """Hash a file's bytes, or the names and bytes of all files of a folder that are not hidden.

    The model card in the folder of a run's model does not count, since it changes with the scores and not the weights.

    Args:
        path: A file or a folder.

    Returns:
        SHA-256 as 64 hexadecimal digits.

    Raises:
        UserError: There is nothing at the path.
    """
    path = Path(path)
    if path.is_file():
        return _file_hash(path)
    if not path.is_dir():
        raise UserError(f"{path}: does not exist; name a checkpoint's file or folder")
    files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    if TRAINING_RECORD in files:
        files.pop(MODEL_CARD, None)
    visible = {name: _file_hash(file) for name, file in files.items() if not f"/{name}".count("/.")}
    return hashlib.sha256(json.dumps(visible, sort_keys=True).encode()).hexdigest()


def _file_hash(path: Path) -> str:
    state = path.stat()
    return _hash_of_state(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=1024)  # a checkpoint of a gigabyte is asked for by each stage of each run
def _hash_of_state(path: Path, modified: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
