"""Hashes of pictures by their content, kept for each size and time of change of a file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from iglue_plugins.data.annotations.caching import cache_folder
from iglue_plugins.data.annotations.entries import unreadable_file_error
from iglue_plugins.utils.files import read_sealed, seal, write_atomic

Known = dict[str, list[int | str]]  # size, time of change in nanoseconds and SHA-256, by file relative to the folder


def pictures_digest(folder: Path, image_ids: Iterable[str]) -> str:
    """Hash the pictures of images by name and content, wherever their folder lies.

    A file is read once for each size and time of change; later calls look at these alone. So a run is known by the
    pictures that it was trained on, and a copy of the folder, whose files have other times, is the same data.

    Args:
        folder: The folder of pictures, in which `<image id>.<any ending>` is a picture of an image.
        image_ids: The images; an id that occurs several times counts once, and one without a picture counts too.

    Returns:
        SHA-256 as 64 hexadecimal digits.

    Raises:
        UserError: A file cannot be read, or the cache cannot be written.
    """
    cache = cache_folder() / f"{hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()}.pictures"
    known = _read(cache)
    before = dict(known)
    content = hashlib.sha256()
    for image_id, files in _files_of(folder, sorted(set(image_ids))):
        content.update(json.dumps([image_id, [_digest(folder, file, known) for file in files]]).encode())
    if known != before:
        write_atomic(cache, seal(json.dumps(known).encode()))
    return content.hexdigest()


def _read(cache: Path) -> Known:
    content = read_sealed(cache)
    return {} if content is None else json.loads(content)


def _files_of(folder: Path, image_ids: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each image with its files relative to the folder; a folder is listed once."""
    listed: dict[str, dict[str, list[str]]] = {}
    for image_id in image_ids:
        store, _, name = image_id.rpartition("/")
        if store not in listed:
            listed[store] = _list(folder, store)
        yield image_id, listed[store].get(name, [])


def _list(folder: Path, store: str) -> dict[str, list[str]]:
    """List the files of a folder by their name without its ending, and by their whole name."""
    files: dict[str, list[str]] = {}
    try:
        names = sorted(entry.name for entry in os.scandir(folder / store) if not entry.is_dir())
    except OSError:  # a folder that is not there has no pictures, which the checks before a run say
        return {}
    for name in names:
        for key in {name, os.path.splitext(name)[0]}:
            files.setdefault(key, []).append(f"{store}/{name}" if store else name)
    return files


def _digest(folder: Path, file: str, known: Known) -> str:
    path = folder / file
    try:
        status = path.stat()
        version: list[int | str] = [status.st_size, status.st_mtime_ns]
        if file not in known or known[file][:2] != version:
            with path.open("rb") as opened:
                known[file] = [*version, hashlib.file_digest(opened, "sha256").hexdigest()]
    except OSError as error:
        raise unreadable_file_error(path, error) from error
    return str(known[file][2])
