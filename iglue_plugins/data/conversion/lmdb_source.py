"""LMDBs of pickled images (what VOLTA reads, made by its h5_to_lmdb.py and npy_to_lmdb.py)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import lmdb
import numpy as np

from iglue_plugins.data.conversion.images import SourceImage, make_image
from iglue_plugins.data.unpickling import safe_loads
from iglue_plugins.utils.errors import UserError

T = TypeVar("T")

KEYS = b"keys"  # the key of a pickled list of all other keys
TENSORPACK_KEYS = b"__keys__"


class LmdbSource:
    """Reads images from an LMDB.

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
        with self._begin() as transaction:
            entries = transaction.stat()["entries"]
            if transaction.get(TENSORPACK_KEYS) is not None:
                raise UserError(
                    f"{path}: is an LMDB of tensorpack, which holds training examples, not images; convert the H5 "
                    "file or the .npy folder that it was made from"
                )
            keys = _read_value(transaction, KEYS, list, f"{path}: key 'keys'")
        self.num_images = entries - 1
        if len(keys) != self.num_images:
            raise UserError(
                f"{path}: found {self.num_images} images, expected the {len(keys)} that its key 'keys' lists; it is "
                "cut short, so download or make it again"
            )

    @contextmanager
    def _begin(self) -> Iterator[lmdb.Transaction]:
        """Opens the LMDB for reading, and turns errors of lmdb in the block into user errors."""
        try:
            with lmdb.open(os.fsencode(self.file), subdir=False, readonly=True, lock=False, readahead=False) as env:
                used = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
                if self.size < used:  # the process would be killed when it reads past the end of a file
                    raise UserError(
                        f"{self.file}: found {self.size} bytes, expected at least {used}; it is cut short, so download "
                        "or make it again"
                    )
                with env.begin() as transaction:
                    yield transaction
        except lmdb.Error as error:
            raise UserError(f"{self.path}: cannot be read as an LMDB ({error}); download or make it again") from error

    def read(self, start: int) -> Iterator[SourceImage]:
        """Reads the images but the first `start`; see `RegionSource.read`."""
        with self._begin() as transaction:
            keys = (bytes(key) for key in transaction.cursor().iternext(values=False))
            for key in islice((key for key in keys if key != KEYS), start, None):
                name = key.decode(errors="surrogateescape")
                where = f"{self.path}: key {name}"
                fields = _read_value(transaction, key, dict, where)
                image = make_image(name, fields, where)
                _check_base64_boxes(len(image.boxes), fields, where)
                yield image


def _check_base64_boxes(found: int, fields: Mapping[str, Any], where: str) -> None:
    """Checks that boxes in base64 are not fewer than num_boxes says, as those of a shorter type would be."""
    expected = fields.get("num_boxes")
    if isinstance(fields["boxes"], (str, bytes)) and isinstance(expected, int | np.integer) and found < expected:
        raise UserError(
            f"{where}: found {found} boxes in base64, expected num_boxes {expected}; make the source again with float32"
        )


def _read_value(transaction: lmdb.Transaction, key: bytes, kind: type[T], where: str) -> T:
    """Reads the pickled value of a key, which must be of a kind."""
    data = transaction.get(key)
    if data is None:
        raise UserError(f"{where}: is missing; convert an LMDB that VOLTA's h5_to_lmdb.py or npy_to_lmdb.py made")
    value = safe_loads(bytes(data), where)
    if not isinstance(value, kind):
        raise UserError(f"{where}: found a pickled {type(value).__name__}, expected a {kind.__name__}")
    return value
