"""LMDBs of pickled items (what VOLTA reads, made by its h5_to_lmdb.py and npy_to_lmdb.py)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

import lmdb

from iglue_plugins.data.conversion.images import Image, make_image
from iglue_plugins.data.unpickling import safe_loads
from iglue_plugins.utils.errors import UserError

T = TypeVar("T")

KEYS = b"keys"  # a pickled list of the other keys
TENSORPACK_KEYS = b"__keys__"


class LmdbSource:
    """Key <image id>: a pickled dict with features and boxes (arrays, or float32 in base64), img_w and img_h.

    path: the folder of a data.mdb, or the file.

    Raises:
        UserError: it cannot be read as an LMDB, is cut short, or holds no such items.
    """

    counted = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path / "data.mdb" if path.is_dir() else path
        self.size = self.file.stat().st_size
        with self._begin() as transaction:
            entries = transaction.stat()["entries"]
            keys = transaction.get(KEYS)
            if transaction.get(TENSORPACK_KEYS) is not None:
                raise UserError(
                    f"{path}: found an LMDB of tensorpack (training examples, not images), expected the H5 "
                    "file or the .npy folder that it was made from"
                )
            if keys is None:
                raise UserError(f"{path}: found no key 'keys', expected an LMDB as VOLTA's h5_to_lmdb.py makes it")
            listed = _unpickled(list, keys, f"{path}: key 'keys'")
        self.images = entries - 1
        if len(listed) != self.images:
            raise UserError(
                f"{path}: found {self.images} images, expected the {len(listed)} that its key 'keys' "
                "lists; it is cut short"
            )

    @contextmanager
    def _begin(self) -> Iterator[lmdb.Transaction]:
        try:
            with lmdb.open(str(self.file), subdir=False, readonly=True, lock=False, readahead=False) as env:
                used = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
                if self.size < used:  # reading past a file's end would end the process
                    raise UserError(f"{self.file}: found {self.size} bytes, expected at least {used}; it is cut short")
                with env.begin() as transaction:
                    yield transaction
        except lmdb.Error as error:
            raise UserError(f"{self.path}: cannot be read as an LMDB ({error}), expected a whole one") from error

    def read(self, start: int) -> Iterator[Image]:
        with self._begin() as transaction:
            names = (key for key in transaction.cursor().iternext(values=False) if key != KEYS)
            for key in islice(names, start, None):
                name = key.decode(errors="replace")
                where = f"{self.path}: key {name}"
                yield make_image(name, _unpickled(dict, transaction.get(key), where), where)


def _unpickled(kind: type[T], data: bytes, where: str) -> T:
    value = safe_loads(data, where)
    if not isinstance(value, kind):
        raise UserError(f"{where}: found a pickled {type(value).__name__}, expected a {kind.__name__}")
    return value
