"""A compact copy of a folder of pictures, for machines on which decoding large pictures would take the time."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image
from pydantic import BaseModel, ConfigDict, ValidationError

from iglue_plugins.data.pictures.folder import group_by_stem
from iglue_plugins.data.pictures.reading import SUFFIXES, PictureError, read_picture
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import write_atomic
from iglue_plugins.utils.processes import end_with_parent
from iglue_plugins.utils.progress import progress_bar

QUALITY = 90  # of JPEG
MAX_SIDE = 65_500  # pixels; libjpeg writes no longer side
SETTINGS_FILE = ".iglue-pictures.json"
PICTURES_PER_TURN = 8  # that a process takes at a time


class CopySettings(BaseModel):
    """Says how a copy was made; it is the content of SETTINGS_FILE in the copy's folder.

    Attributes:
        size: The pixels of a picture's shorter side.
        quality: The quality of the JPEG files.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int
    quality: int = QUALITY


@dataclass(frozen=True)
class CopyReport:
    """Says what a call of `copy_pictures` has done.

    Attributes:
        pictures: The number of pictures in the source.
        written: The number of pictures that were written.
        failed: A sentence for each picture that cannot be read, by its file's path in the source.
    """

    pictures: int
    written: int
    failed: Mapping[Path, str]


def copy_pictures(source: Path, folder: Path, size: int, jobs: int = 1) -> CopyReport:
    """Write each picture of a folder and its sub folders as a JPEG whose shorter side has `size` pixels at most.

    A smaller picture keeps its size. The copies have the sub folders and names of the originals, with the suffix
    .jpg; they are upright and have no metadata. Pictures that are in `folder` already are not written again, so the
    same call continues one that was stopped.

    Args:
        source: The folder with the pictures.
        folder: The folder of the copy: new, empty, or with a copy of the same size.
        size: The pixels of the shorter side.
        jobs: How many processes work.

    Returns:
        What was done, and which pictures cannot be read.

    Raises:
        UserError: There are no pictures, two would get the same name, `folder` holds something else or a copy of
            another size, or cannot be written.
    """
    pictures = _find_pictures(source, folder)
    _check_destination(folder, CopySettings(size=size))
    missing = {original: copy for original, copy in pictures.items() if not copy.exists()}
    failed: dict[Path, str] = {}
    done = len(pictures) - len(missing)
    with progress_bar(total=len(pictures), initial=done, desc=folder.name, unit=" pictures") as progress:
        with _mapping(min(jobs, len(missing))) as apply:
            for original, sentence in zip(missing, apply(partial(_copy, size), missing.items()), strict=True):
                if sentence is not None:
                    failed[original] = sentence
                progress.update()
    return CopyReport(len(pictures), len(missing) - len(failed), failed)


def _find_pictures(source: Path, folder: Path) -> dict[Path, Path]:
    """List the pictures of a folder, each with the path of its copy; links to folders are followed."""
    if not source.is_dir():
        raise UserError(f"{source}: is no folder; name the folder with the pictures as SOURCE")
    inner, outer = folder.resolve(), source.resolve()
    if inner == outer or inner in outer.parents or outer in inner.parents:
        raise UserError(f"{folder}: lies in {source}, or around it; name a folder beside it as FOLDER")
    copies: dict[Path, Path] = {}
    seen: set[Path] = set()
    for place, folders, names in os.walk(source, followlinks=True):
        path = Path(place)
        # A link may lead to a folder that holds it.
        folders[:] = [name for name in sorted(folders) if not name.startswith(".")] * (path.resolve() not in seen)
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        for stem, files in group_by_stem(names, SUFFIXES).items():
            if len(files) > 1:
                raise UserError(
                    f"{path}: {' and '.join(files)} would both become {stem}.jpg; keep or rename one of them"
                )
            copies[path / files[0]] = folder / path.relative_to(source) / f"{stem}.jpg"
    if not copies:
        raise UserError(f"{source}: holds no pictures ({', '.join(SUFFIXES)}), nor do its sub folders; name another")
    return copies


def _check_destination(folder: Path, settings: CopySettings) -> None:
    """Check that a folder is new, empty or has a copy of the same settings, and note them in it."""
    path = folder / SETTINGS_FILE
    try:
        found = CopySettings.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        if folder.is_dir() and any(folder.iterdir()):
            raise UserError(f"{folder}: the folder holds other files; name a new or empty folder as FOLDER") from None
        write_atomic(path, settings.model_dump_json().encode())
        return
    except (OSError, ValidationError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read ({reason}); delete {folder} and make the copy again") from error
    if found != settings:
        raise UserError(
            f"{folder}: holds pictures of size {found.size} and quality {found.quality}, not {settings.size} and "
            f"{settings.quality}; name another FOLDER, or delete this one"
        )


def _copy(size: int, paths: tuple[Path, Path]) -> str | None:
    """Write the copy of a picture; returns a sentence if the picture cannot be read."""
    original, copy = paths
    try:
        content = _compress(read_picture(original, size), size, original)
    except UserError as error:
        return str(error)
    write_atomic(copy, content)
    return None


def _compress(picture: Image.Image, size: int, path: Path) -> bytes:
    """Scale a picture down and encode it as a JPEG."""
    scale = min(1.0, size / min(picture.size))
    width, height = (max(1, round(side * scale)) for side in picture.size)
    if max(width, height) > MAX_SIDE:
        reason = f"has a longer side of more than the {MAX_SIDE:,} pixels that a JPEG can have"
        raise PictureError(str(path), reason, f"{width} x {height} in the copy", "cut it, or leave it out")
    if (width, height) != picture.size:
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


@contextmanager
def _mapping(jobs: int) -> Iterator[Callable[..., Iterator[str | None]]]:
    """Give the block a function like `map` that works in several processes.

    Where the block ends early, each process finishes the pictures that it has taken, and the others are not begun.
    """
    if jobs <= 1:
        yield map
        return
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(jobs, context, initializer=_start_worker)
    try:
        yield partial(executor.map, chunksize=PICTURES_PER_TURN)
    except BrokenProcessPool as error:
        raise UserError(
            "a process that copies pictures was killed, perhaps for want of memory; the same command continues, with a "
            "smaller --jobs in less memory"
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the main process, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
