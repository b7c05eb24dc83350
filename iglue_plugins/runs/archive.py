"""Finished runs in one archive: a tar file that begins with a manifest of the hashes of its files."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.removal import taken
from iglue_plugins.runs.status import file_sizes
from iglue_plugins.utils.errors import UserError, explain_write_errors
from iglue_plugins.utils.files import atomic_path

MANIFEST = "manifest.json"
ARCHIVE_FORMAT = 1
ARCHIVED = ("record.json", "recipe.yaml", "model", "predictions", "tensorboard")  # of a run's folder
BLOCK = 2**20  # bytes that are read at a time


@dataclass(frozen=True)
class ArchivedFile:
    """A file of an archive.

    Attributes:
        sha256: The hash of its content, 64 hexadecimal digits.
        size: Its bytes.
    """

    sha256: str
    size: int


def export_runs(runs: Sequence[Run], file: Path, with_models: bool = True) -> dict[str, ArchivedFile]:
    """Write finished runs into an archive, without checkpoints.

    Args:
        runs: The runs.
        file: The archive, which must not exist.
        with_models: Whether the models, which are most of the bytes, are written too.

    Returns:
        The files of the archive, by their paths in it.

    Raises:
        UserError: A run is not finished, is running or damaged, two have the same name, or the archive exists or cannot
            be written.
    """
    if file.exists():
        raise UserError(f"{file}: exists already; name a new file")
    folders: dict[str, Path] = {}
    for run in runs:
        run.require_record()
        folder = run.folder.absolute()
        if folder.name in folders:
            raise UserError(f"{run.folder}: {folders[folder.name]} has the same name; an archive has one run of a name")
        folders[folder.name] = folder
    with contextlib.ExitStack() as stack:
        for run in runs:
            with contextlib.suppress(OSError):  # a folder that can only be read has nothing to lock
                stack.enter_context(taken(run))
        paths = {
            f"{name}/{path}": folder / path
            for name, folder in folders.items()
            for path, _ in file_sizes(folder)
            if _is_archived(path, with_models)
        }
        files = {name: _hash_file(path) for name, path in paths.items()}
        with explain_write_errors(file), atomic_path(file) as temporary:
            _write(temporary, paths, files)
    return files


def _is_archived(path: str, with_models: bool) -> bool:
    first = Path(path).parts[0]
    is_temporary = Path(path).name.startswith(".") and path.endswith(".tmp")
    return first in ARCHIVED and not is_temporary and (with_models or first != "model")


def _hash_file(path: Path) -> ArchivedFile:
    if path.is_symlink():
        raise UserError(f"{path}: is a link, which an archive does not take; put the file in its place")
    try:
        with path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
            return ArchivedFile(digest, opened.tell())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _write(path: Path, paths: dict[str, Path], files: dict[str, ArchivedFile]) -> None:
    manifest = {
        "format": ARCHIVE_FORMAT,
        "files": {name: {"sha256": found.sha256, "bytes": found.size} for name, found in files.items()},
    }
    content = f"{json.dumps(manifest, ensure_ascii=False, indent=2)}\n".encode()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, MANIFEST, len(content), io.BytesIO(content))
        for name, source in paths.items():
            with source.open("rb") as opened:
                _add(archive, name, files[name].size, opened)


def _add(archive: tarfile.TarFile, name: str, size: int, content: BinaryIO) -> None:
    """Add a file without an owner or a time, so that an archive depends on the content of its runs alone."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    archive.addfile(member, content)
