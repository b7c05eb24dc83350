"""Taking runs from an archive that somebody else may have made: nothing counts until all of it is checked."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from iglue_plugins.runs.archive import ARCHIVE_FORMAT, ARCHIVED, BLOCK, MANIFEST, ArchivedFile
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.removal import taken
from iglue_plugins.runs.status import RUN_NAME
from iglue_plugins.utils.errors import UserError, explain_write_errors
from iglue_plugins.utils.files import sync_folder
from iglue_plugins.utils.strict_json import parse_json
from iglue_plugins.utils.text import shown

MAX_MANIFEST = 64 * 2**20  # bytes
UNFINISHED = ".importing"  # what the name of a folder that is being imported ends in; it is hidden too
HASH = re.compile("[0-9a-f]{64}")


def import_runs(file: Path, into: Path) -> tuple[list[Path], list[Path]]:
    """Take the runs of an archive into a folder for runs.

    The files are written into a hidden folder, and get their names when all of them are whole and as the manifest says.

    Args:
        file: The archive.
        into: The folder, which is made if need be.

    Returns:
        The folders of the new runs, and those of runs that were there already, which are left as they are.

    Raises:
        UserError: The archive cannot be read, holds anything but what its manifest says or files with other hashes, has
            no room, or another run of the same name is there.
    """
    temporary = into / f".{uuid.uuid4().hex}{UNFINISHED}"
    try:
        with _open(file) as archive:
            members = _members(archive, file)
            files = _read_manifest(archive, members, file)
            there = _runs_that_are_there(files, into)
            with explain_write_errors(into):
                temporary.mkdir(parents=True)
            _check_room(files, into)
            _extract(archive, members, files, temporary, file)
        runs = sorted(path for path in temporary.iterdir())
        for folder in runs:
            _check_record(Run(folder), file)
        new = [folder for folder in runs if folder.name not in there]
        with explain_write_errors(into):
            sync_folder(temporary)
        for folder in new:
            _give_name(folder, into / folder.name)
        return [into / folder.name for folder in new], [into / name for name in there]
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _open(file: Path) -> Iterator[tarfile.TarFile]:
    """Open a tar file that is not compressed, and explain what is wrong with it."""
    try:
        with file.open("rb") as opened, tarfile.open(fileobj=opened, mode="r:") as archive:
            yield archive
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from error
    except (tarfile.TarError, ValueError, OverflowError, EOFError, IndexError, RecursionError) as error:
        raise _damaged(file, str(error)) from error


def _damaged(file: Path, reason: str) -> UserError:
    return UserError(f"{file}: is no whole archive of `iglue runs export` ({reason}); nothing was imported")


def _members(archive: tarfile.TarFile, file: Path) -> Iterator[tuple[tarfile.TarInfo, BinaryIO]]:
    """Yield the members, each of which has to be a plain file, with their content."""
    for member in archive:
        content = archive.extractfile(member) if member.isreg() and not member.issparse() else None
        if content is None:
            raise UserError(f"{file}: its member {shown(member.name)} is no plain file; nothing was imported")
        yield member, content  # type: ignore[misc]  # what extractfile returns reads bytes


def _read_manifest(
    archive: tarfile.TarFile, members: Iterator[tuple[tarfile.TarInfo, BinaryIO]], file: Path
) -> dict[str, ArchivedFile]:
    first = next(members, None)
    if first is None or first[0].name != MANIFEST or first[0].size > MAX_MANIFEST:
        raise _damaged(file, f"it does not begin with {MANIFEST}")
    manifest = parse_json(first[1].read())
    if not isinstance(manifest, dict) or manifest.get("format") != ARCHIVE_FORMAT:
        raise _damaged(file, f"its manifest has another format than {ARCHIVE_FORMAT}")
    listed = manifest.get("files")
    if not isinstance(listed, dict) or not listed:
        raise _damaged(file, "its manifest lists no files")
    files = {name: _checked(name, found, file) for name, found in listed.items()}
    for run in {name.partition("/")[0] for name in files}:
        if f"{run}/record.json" not in files:
            raise _damaged(file, f"the run {run} has no record.json")
    return files


def _checked(name: str, found: Any, file: Path) -> ArchivedFile:
    """Check an entry of the manifest: the name of a run, then a file that runs have, on no way out of its folder."""
    run, *parts = name.split("/")
    if (
        not RUN_NAME.fullmatch(run)
        or not parts
        or parts[0] not in ARCHIVED
        or not all(part.isprintable() and part not in ("", ".", "..") and "\\" not in part for part in parts)
        or (len(parts) > 1) != (parts[0] in ("model", "predictions", "tensorboard"))
    ):
        raise UserError(f"{file}: its manifest lists {shown(name)}, which is no file of a run; nothing was imported")
    digest, size = (found.get("sha256"), found.get("bytes")) if isinstance(found, dict) else (None, None)
    if not isinstance(digest, str) or not HASH.fullmatch(digest) or type(size) is not int or size < 0:
        raise _damaged(file, f"its manifest has no hash and size of {shown(name)}")
    return ArchivedFile(digest, size)


def _runs_that_are_there(files: dict[str, ArchivedFile], into: Path) -> list[str]:
    """List the runs of an archive whose files are all in the folder already, and refuse others of the same names."""
    there = []
    for run in sorted({name.partition("/")[0] for name in files}):
        if not (into / run).exists():
            continue
        for name, expected in files.items():
            if name.startswith(f"{run}/") and not _is_file(into / name, expected):
                raise UserError(
                    f"{into / run}: is there already, and is not the run of the archive ({name} differs); nothing was "
                    "imported; import --into another folder, or remove it first"
                )
        there.append(run)
    return there


def _is_file(path: Path, expected: ArchivedFile) -> bool:
    try:
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest() == expected.sha256
    except OSError:
        return False


def _check_room(files: dict[str, ArchivedFile], into: Path) -> None:
    needed, free = sum(found.size for found in files.values()), shutil.disk_usage(into).free
    if needed > free:
        raise UserError(f"{into}: has {free} bytes free, but the archive's files take {needed}; make room")


def _extract(
    archive: tarfile.TarFile,
    members: Iterator[tuple[tarfile.TarInfo, BinaryIO]],
    files: dict[str, ArchivedFile],
    temporary: Path,
    file: Path,
) -> None:
    """Write the files of an archive, each as the manifest says."""
    left = dict(files)
    for member, content in members:
        expected, named = left.pop(member.name, None), f"{file}: its member {shown(member.name)}"
        if expected is None:
            raise UserError(f"{named} is not in its manifest, or is there twice; nothing was imported")
        if member.size != expected.size or not _write_file(content, temporary / member.name, expected):
            raise UserError(f"{named} is not what its manifest says; nothing was imported")
    if left:
        raise _damaged(file, f"it lacks {shown(next(iter(left)))}")


def _write_file(content: BinaryIO, path: Path, expected: ArchivedFile) -> bool:
    """Write a file, and tell whether it has the hash that it should have."""
    digest = hashlib.sha256()
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = path.open("xb")
    with opened:
        while block := content.read(BLOCK):
            digest.update(block)
            with explain_write_errors(path):
                opened.write(block)
    return digest.hexdigest() == expected.sha256


def _check_record(run: Run, file: Path) -> None:
    try:
        found = run.require_record().get("fingerprint")
    except UserError as error:
        raise _damaged(file, f"the record of {run.folder.name} cannot be read") from error
    if found != run.folder.name.partition(".before-")[0].rpartition("-")[2]:
        raise _damaged(file, f"the record of {run.folder.name} is that of a run with the fingerprint {shown(found)}")


def _give_name(folder: Path, new: Path) -> None:
    """Give a run its name, unless another process has made a run of that name in the meantime."""
    with explain_write_errors(new), taken(Run(new)):
        if new.exists():
            raise UserError(f"{new}: is there already, since another process has just made it; import again")
        folder.rename(new)
