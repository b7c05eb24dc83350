"""LMDBs of pickled images (what VOLTA reads, made by its h5_to_lmdb.py and npy_to_lmdb.py)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

import numpy as np

from iglue_plugins.data.conversion import lmdb_process
from iglue_plugins.data.conversion.images import SourceImage, make_image
from iglue_plugins.data.conversion.lmdb_process import LENGTHS, MISSING, SIZES
from iglue_plugins.data.unpickling import safe_loads
from iglue_plugins.utils.errors import UserError

T = TypeVar("T")

KEYS = b"keys"  # the key of a pickled list of all other keys
TENSORPACK_KEYS = b"__keys__"
PIPE_SIZE = 2**20  # bytes; an image of 36 boxes with 2,048 features is 0.3 MB


class Entry(NamedTuple):
    """Holds an entry of an LMDB.

    Attributes:
        key: The key.
        value: The value; None if there is no such key.
    """

    key: bytes
    value: bytes | None


class LmdbSource:
    """Reads images from an LMDB, in a process of its own (`lmdb_process`), which a damaged file can end.

    The value of the key <image id> is a pickled dict with features and boxes (arrays, or float32 in base64), img_w and
    img_h.

    Args:
        path: The folder of a data.mdb, or the file.

    Raises:
        UserError: The path cannot be read as an LMDB, is cut short, or holds no such values.
    """

    count_is_exact = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path / "data.mdb" if path.is_dir() else path
        self.size = self.file.stat().st_size
        with self._entries(0) as (count, entries):
            keys_of_tensorpack, keys_of_volta = next(entries), next(entries)
        if keys_of_tensorpack.value is not None:
            raise UserError(
                f"{path}: is an LMDB of tensorpack, which holds training examples, not images; convert the H5 "
                "file or the .npy folder that it was made from"
            )
        keys = _unpickle(keys_of_volta, list, f"{path}: key 'keys'")
        self.num_images = count - 1
        if len(keys) != self.num_images:
            raise UserError(
                f"{path}: found {self.num_images} images, expected the {len(keys)} that its key 'keys' lists; it is "
                "cut short, so download or make it again"
            )

    @contextmanager
    def _entries(self, start: int) -> Iterator[tuple[int, Iterator[Entry]]]:
        """Yields the number of all entries, and the two lists of keys, followed by the images' entries from `start`."""
        arguments: list[str | bytes | Path] = [self.file, str(start), TENSORPACK_KEYS, KEYS]
        command, pipe = [sys.executable, "-P", lmdb_process.__file__, *arguments], subprocess.PIPE
        with subprocess.Popen(command, stdout=pipe, stderr=pipe, pipesize=PIPE_SIZE) as process:
            try:
                used, count = SIZES.unpack(self._read(process, SIZES.size))
                if self.size < used:  # the process would be killed when it reads past the end of a file
                    raise UserError(
                        f"{self.file}: found {self.size} bytes, expected at least {used}; it is cut short, so download "
                        "or make it again"
                    )
                yield count, self._read_entries(process)
            finally:
                process.kill()

    def _read_entries(self, process: subprocess.Popen[bytes]) -> Iterator[Entry]:
        while lengths := self._read(process, LENGTHS.size, may_end=True):
            key_length, length = LENGTHS.unpack(lengths)
            key = self._read(process, key_length)
            yield Entry(key, None if length == MISSING else self._read(process, length))

    def _read(self, process: subprocess.Popen[bytes], size: int, may_end: bool = False) -> bytes:
        """Reads bytes that the process writes, or none where it may end; its errors become user errors."""
        if size > self.size:
            raise UserError(f"{self.path}: holds an entry larger than the file; download or make it again")
        content = _stream(process.stdout).read(size)
        if len(content) == size or (may_end and not content and process.wait() == 0):
            return content
        reason = _stream(process.stderr).read().decode(errors="replace").strip().rpartition("\n")[2]
        if process.wait() != 1:
            reason = f"reading it ended the process that read it, with code {process.returncode}"
        raise UserError(f"{self.path}: cannot be read as an LMDB ({reason}); download or make it again")

    def read(self, start: int) -> Iterator[SourceImage]:
        """Reads the images but the first `start`; see `RegionSource.read`."""
        with self._entries(start) as (_, entries):
            for entry in islice(entries, 2, None):
                name = entry.key.decode(errors="surrogateescape")
                where = f"{self.path}: key {name}"
                fields = _unpickle(entry, dict, where)
                image = make_image(name, fields, where)
                _check_base64_boxes(len(image.boxes), fields, where)
                yield image


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def _check_base64_boxes(found: int, fields: Mapping[str, Any], where: str) -> None:
    """Checks that boxes in base64 are not fewer than num_boxes says, as those of a shorter type would be."""
    expected = fields.get("num_boxes")
    if isinstance(fields["boxes"], (str, bytes)) and isinstance(expected, int | np.integer) and found < expected:
        raise UserError(
            f"{where}: found {found} boxes in base64, expected num_boxes {expected}; make the source again with float32"
        )


def _unpickle(entry: Entry, kind: type[T], where: str) -> T:
    """Reads a pickled value, which must be of a kind."""
    if entry.value is None:
        raise UserError(f"{where}: is missing; convert an LMDB that VOLTA's h5_to_lmdb.py or npy_to_lmdb.py made")
    value = safe_loads(entry.value, where)
    if not isinstance(value, kind):
        raise UserError(f"{where}: found a pickled {type(value).__name__}, expected a {kind.__name__}")
    return value
