"""Region features of the IGLUE release, in any of its formats, to a store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from iglue_plugins.data import stores
from iglue_plugins.data.conversion.images import Image, Source
from iglue_plugins.data.conversion.sources import open_source
from iglue_plugins.data.conversion.writing import Settings, StoreWriter, check_settings, claimed
from iglue_plugins.data.stores import DTypeName, Metadata, SourceIdentity, read_metadata
from iglue_plugins.utils.errors import UserError, did_you_mean
from iglue_plugins.utils.progress import progress_bar
from iglue_plugins.utils.threads import single_thread


def convert(
    sources: Sequence[Path], destination: Path, format: str = "auto", dtype: str = "float16"
) -> tuple[Metadata, bool]:
    """Make a store of all images of the sources; goes on where an earlier process stopped.

    Returns what there is to say about the store, and whether there was anything to do.

    Raises:
        UserError: a source cannot be read or is not what it should be, the destination holds something else or cannot
            be written, or two images of one id differ.
    """
    if dtype not in get_args(DTypeName):
        raise UserError(f"--dtype: found '{dtype}'{did_you_mean(dtype, get_args(DTypeName))}")
    opened = [open_source(path, format) for path in sources]
    identities = [SourceIdentity(name=source.path.resolve().name, size=source.size) for source in opened]
    settings = Settings(dtype=dtype, sources=identities)
    if (destination / stores.METADATA).exists():
        metadata = read_metadata(destination)
        check_settings(destination, Settings(dtype=metadata.dtype, sources=metadata.sources), settings)
        shutil.rmtree(destination / stores.UNFINISHED, ignore_errors=True)
        return metadata, False
    total = sum(source.images for source in opened)
    with (
        single_thread(),
        claimed(destination, settings),
        StoreWriter(destination, settings) as writer,
        progress_bar(total=total, initial=writer.read.total(), desc=destination.name, unit=" images") as progress,
    ):
        for number, source in enumerate(opened):
            for image in _images(source, writer.read[number]):
                writer.add(number, image)
                progress.update()
            if source.counted and writer.read[number] != source.images:
                raise UserError(
                    f"{source.path}: found {writer.read[number]} images, expected the {source.images} that "
                    "were in it at the start; it changed meanwhile"
                )
        return writer.finish(), True


def _images(source: Source, start: int) -> Iterator[Image]:
    try:
        yield from source.read(start)
    except OSError as error:
        raise UserError(f"{source.path}: cannot be read ({error.strerror or error})") from error
