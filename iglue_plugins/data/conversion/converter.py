"""The conversion of region features of the IGLUE release, in any of its formats, to a store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from iglue_plugins.data.conversion.destination import ConversionSettings, check_settings, locked_destination
from iglue_plugins.data.conversion.formats import open_source
from iglue_plugins.data.conversion.images import RegionSource, SourceImage
from iglue_plugins.data.conversion.store_writer import StoreWriter
from iglue_plugins.data.stores.format import (
    METADATA_FILE,
    UNFINISHED_FOLDER,
    DTypeName,
    SourceIdentity,
    StoreMetadata,
    read_metadata,
)
from iglue_plugins.utils.errors import UserError, did_you_mean
from iglue_plugins.utils.progress import progress_bar
from iglue_plugins.utils.text import printable
from iglue_plugins.utils.threads import single_thread

DTYPES: tuple[DTypeName, ...] = get_args(DTypeName)


def convert(
    sources: Sequence[Path], destination: Path, format: str = "auto", dtype: str = "float16"
) -> tuple[StoreMetadata, bool]:
    """Makes a store of all images of the sources; continues where an earlier process stopped.

    Args:
        sources: Files and folders of region features.
        destination: The folder of the store: new, empty, or with an unfinished store of the same sources.
        format: The format of the sources, or 'auto', which detects it.
        dtype: The type of the stored features, 'float16' or 'float32'.

    Returns:
        The store's metadata, and whether anything was converted.

    Raises:
        UserError: A source cannot be read or is damaged, the destination holds something else or cannot be written, or
            two images of one id differ.
    """
    chosen_dtype = parse_dtype(dtype)
    opened = [open_source(path, format) for path in sources]
    identities = tuple(
        SourceIdentity(name=printable(source.path.resolve().name), size=source.size) for source in opened
    )
    settings = ConversionSettings(dtype=chosen_dtype, sources=identities)
    if (metadata := finished_store(destination, settings)) is not None:
        return metadata, False
    with single_thread(), locked_destination(destination, settings), StoreWriter(destination, settings) as writer:
        _convert_images(opened, writer)
        return writer.finish(), True


def parse_dtype(dtype: str) -> DTypeName:
    """Return the type of stored features that a user names.

    Raises:
        UserError: There is no such type.
    """
    for name in DTYPES:
        if name == dtype:
            return name
    raise UserError(f"--dtype: found '{dtype}'{did_you_mean(dtype, DTYPES)}")


def finished_store(folder: Path, settings: ConversionSettings) -> StoreMetadata | None:
    """Return the metadata of a store that is finished, or None if it is not.

    Args:
        folder: The folder of the store.
        settings: What the store is to be made from.

    Raises:
        UserError: There is a finished store of something else.
    """
    if not (folder / METADATA_FILE).exists():
        return None
    metadata = read_metadata(folder)
    check_settings(folder, ConversionSettings.of_store(metadata), settings)
    shutil.rmtree(folder / UNFINISHED_FOLDER, ignore_errors=True)
    return metadata


def _convert_images(sources: Sequence[RegionSource], writer: StoreWriter) -> None:
    """Appends the images of all sources that the writer has not read yet."""
    total, already_read = sum(source.num_images for source in sources), writer.images_read.total()
    with progress_bar(total=total, initial=already_read, desc=writer.folder.name, unit=" images") as progress:
        for number, source in enumerate(sources):
            for image in _read_images(source, writer.images_read[number]):
                writer.add(number, image)
                progress.update()
            if source.count_is_exact and writer.images_read[number] != source.num_images:
                raise UserError(
                    f"{source.path}: found {writer.images_read[number]} images, expected the {source.num_images} that "
                    f"were in it at the start; it changed meanwhile, so delete {writer.folder} and convert again"
                )


def _read_images(source: RegionSource, start: int) -> Iterator[SourceImage]:
    try:
        yield from source.read(start)
    except OSError as error:
        raise UserError(
            f"{source.path}: cannot be read ({error.strerror or error}); what is converted is kept, and the same "
            "command continues"
        ) from error
