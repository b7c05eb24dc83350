"""The folder that a conversion writes to: its lock, and the settings that an earlier conversion left in it.

While a store is unfinished, its folder holds a folder `unfinished`, whose settings.json says what is being converted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from iglue_plugins.data.stores.format import (
    UNFINISHED_FOLDER,
    DTypeName,
    ExtractionSettings,
    SourceIdentity,
    StoreMetadata,
)
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import atomic_path
from iglue_plugins.utils.locks import LockFile


class ConversionSettings(BaseModel):
    """Says what a store is made from, and how; it is the content of settings.json.

    Attributes:
        dtype: The type of the stored features.
        sources: The sources, in their order.
        extraction: How features are made of the sources, if they are pictures.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dtype: DTypeName
    sources: tuple[SourceIdentity, ...]
    extraction: ExtractionSettings | None = None

    @classmethod
    def of_store(cls, store: StoreMetadata) -> ConversionSettings:
        """Return the settings that a finished store was made with."""
        return cls(dtype=store.dtype, sources=store.sources, extraction=store.extraction)

    def __str__(self) -> str:
        text = f"{self.dtype} from {' and '.join(f'{source.name} (size {source.size})' for source in self.sources)}"
        return text if self.extraction is None else f"{text} by {self.extraction}"


@contextlib.contextmanager
def locked_destination(folder: Path, settings: ConversionSettings) -> Iterator[None]:
    """Locks a new folder, or one with an unfinished store of these settings, against other processes.

    Args:
        folder: The folder of the store.
        settings: What the store is to be made from.

    Raises:
        UserError: The folder holds something else, is locked by another process, or cannot be written.
    """
    unfinished = folder / UNFINISHED_FOLDER
    path = unfinished / "settings.json"
    with contextlib.ExitStack() as locks:
        with explain_failed_write(folder):
            if not unfinished.is_dir() and folder.is_dir() and any(folder.iterdir()):
                raise UserError(f"{folder}: the folder holds other files; name a new or empty folder as DESTINATION")
            unfinished.mkdir(parents=True, exist_ok=True)
            lock = locks.enter_context(contextlib.closing(LockFile(unfinished / ".lock", folder)))
            if not lock.acquire():
                raise UserError(
                    f"{folder}: another process converts into this folder; wait for it, or name another DESTINATION; "
                    f"the lock {lock.path} is held by {lock.holder()}, and may be deleted if that process is gone"
                )
            if not path.exists():
                write_text(path, settings.model_dump_json())
        check_settings(folder, _read_settings(path), settings)
        yield


def check_settings(folder: Path, found: ConversionSettings, expected: ConversionSettings) -> None:
    """Checks that a store is made from the sources, and in the way, that the user asks for.

    Args:
        folder: The folder of the store.
        found: What the store in the folder is made from.
        expected: What the user asks for.

    Raises:
        UserError: The two differ.
    """
    if found != expected:
        raise UserError(
            f"{folder}: found a store of {found}, expected {expected}; name another DESTINATION, or delete this one"
        )


def _read_settings(path: Path) -> ConversionSettings:
    try:
        return ConversionSettings.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise damaged_file_error(path, error) from error


def damaged_file_error(path: Path, error: Exception) -> UserError:
    """Makes the error for a damaged file in the folder `unfinished`.

    Args:
        path: The file.
        error: Why it cannot be read.
    """
    reason = " ".join(str(error).split())
    return UserError(
        f"{path}: the file of an earlier conversion is damaged ({reason}); delete {path.parents[1]} and convert again"
    )


def write_text(path: Path, text: str) -> None:
    """Writes a file so that it has either the old content or the new one.

    Args:
        path: The file.
        text: The new content.

    Raises:
        OSError: The file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def explain_failed_write(path: Path) -> Iterator[None]:
    """Turns an OSError of the block into an error that says that the same command continues the conversion.

    Args:
        path: The file or folder that the block writes to, named in the error.

    Raises:
        UserError: The block raised an OSError.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); what is converted is kept, and the same command "
            "continues once the folder can be written to and has room"
        ) from error
