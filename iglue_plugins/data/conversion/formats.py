"""The formats of region features that can be converted, and how a source's format is detected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from iglue_plugins.data.conversion.h5_source import H5Source
from iglue_plugins.data.conversion.images import RegionSource
from iglue_plugins.data.conversion.lmdb_source import LmdbSource
from iglue_plugins.data.conversion.npy_source import NpySource
from iglue_plugins.data.conversion.tsv_source import TSV_FIELDS, TsvSource
from iglue_plugins.utils.errors import UserError, did_you_mean

FORMATS: dict[str, Callable[[Path], RegionSource]] = {
    "h5": H5Source,
    "lmdb": LmdbSource,
    "npy": NpySource,
    "tsv": TsvSource,
}
CHOICES = "an H5 file, an LMDB, a folder of .npy and _info.npy files, or a TSV"

H5_MAGIC = b"\x89HDF\r\n\x1a\n"
LMDB_MAGIC = 0xBEEFC0DE.to_bytes(4, "little")  # follows the 16 bytes of the first page's header


def open_source(path: Path, format: str = "auto") -> RegionSource:
    """Opens a source of region features.

    Args:
        path: A file or folder.
        format: A name in FORMATS, or 'auto', which detects the format.

    Raises:
        UserError: There is nothing at the path, its format is unknown, or it is damaged or without images.
    """
    if format not in ("auto", *FORMATS):
        raise UserError(f"--format: found '{format}'{did_you_mean(format, ['auto', *FORMATS])}")
    try:
        if not path.exists():
            raise UserError(f"{path}: does not exist; name {CHOICES}")
        source = FORMATS[detect_format(path) if format == "auto" else format](path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); name {CHOICES} that can be read") from error
    if not source.num_images:
        raise UserError(f"{path}: holds no images; name {CHOICES} with at least one image")
    return source


def detect_format(path: Path) -> str:
    """Detects the format of a source from the files of a folder or the first bytes of a file.

    Args:
        path: A file or folder.

    Returns:
        A name in FORMATS.

    Raises:
        UserError: The format is unknown.
        OSError: The path cannot be read.
    """
    if path.is_dir():
        if (path / "data.mdb").exists():
            return "lmdb"
        if next(path.rglob("*.npy"), None):
            return "npy"
        raise UserError(f"{path}: is a folder without data.mdb and .npy files; name {CHOICES}")
    with path.open("rb") as file:
        start = file.read(20)
        if start.startswith(H5_MAGIC):
            return "h5"
        if start[16:] == LMDB_MAGIC:
            return "lmdb"
        file.seek(0)
        if file.readline(10_000_000).count(b"\t") >= len(TSV_FIELDS) - 1:
            return "tsv"
    raise UserError(f"{path}: is a file in none of the known formats; name {CHOICES}")
