"""Which format a source of region features is in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from iglue_plugins.data.conversion.from_h5 import H5Source
from iglue_plugins.data.conversion.from_lmdb import LmdbSource
from iglue_plugins.data.conversion.from_npy import NpySource
from iglue_plugins.data.conversion.from_tsv import FIELDS, TsvSource
from iglue_plugins.data.conversion.images import Source
from iglue_plugins.utils.errors import UserError, did_you_mean

FORMATS: dict[str, Callable[[Path], Source]] = {"h5": H5Source, "lmdb": LmdbSource, "npy": NpySource, "tsv": TsvSource}
EXPECTED = "an H5 file, an LMDB, a folder of .npy and _info.npy files, or a TSV"

H5_MAGIC = b"\x89HDF\r\n\x1a\n"
LMDB_MAGIC = 0xBEEFC0DE.to_bytes(4, "little")  # after 16 bytes of its first page's header


def open_source(path: Path, format: str = "auto") -> Source:
    """The source at a path, in a format of FORMATS; 'auto' looks.

    Raises:
        UserError: there is nothing at the path, it is in no known format, or it is not what that format expects.
    """
    if format not in ("auto", *FORMATS):
        raise UserError(f"--format: found '{format}'{did_you_mean(format, ['auto', *FORMATS])}")
    try:
        if not path.exists():
            raise UserError(f"{path}: found nothing, expected {EXPECTED}")
        source = FORMATS[detect(path) if format == "auto" else format](path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}), expected {EXPECTED}") from error
    if not source.images:
        raise UserError(f"{path}: found no images in it, expected at least one")
    return source


def detect(path: Path) -> str:
    """The format's name. Raises UserError when it is none, OSError when the path cannot be read."""
    if path.is_dir():
        if (path / "data.mdb").exists():
            return "lmdb"
        if next(path.rglob("*.npy"), None):
            return "npy"
        raise UserError(f"{path}: found a folder without data.mdb and .npy files, expected {EXPECTED}")
    with path.open("rb") as file:
        start = file.read(20)
        if start.startswith(H5_MAGIC):
            return "h5"
        if start[16:] == LMDB_MAGIC:
            return "lmdb"
        file.seek(0)
        if file.readline(10_000_000).count(b"\t") >= len(FIELDS) - 1:
            return "tsv"
    raise UserError(f"{path}: found a file in none of the known formats, expected {EXPECTED}")
