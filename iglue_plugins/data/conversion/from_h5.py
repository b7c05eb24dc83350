"""H5 files with a group for each image (VOLTA's boxes36 releases)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import h5py

from iglue_plugins.data.conversion.images import Image, make_image
from iglue_plugins.utils.errors import UserError

FIELDS = ("features", "boxes", "img_w", "img_h")


class H5Source:
    """A group <image id> holds features (n, D), boxes (n, 4), img_w and img_h, among others.

    Raises:
        UserError: the file cannot be read as H5, or is cut short.
    """

    counted = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        with self._open() as file:
            self.images = len(file)

    @contextmanager
    def _open(self) -> Iterator[h5py.File]:
        try:
            with h5py.File(self.path, "r") as file:
                yield file
        except UserError:
            raise
        except Exception as error:  # a damaged file raises almost anything
            reason = " ".join(str(error).split())
            raise UserError(f"{self.path}: cannot be read as H5 ({reason}), expected a whole H5 file") from error

    def read(self, start: int) -> Iterator[Image]:
        with self._open() as file:
            for name in islice(file, start, None):
                where, group = f"{self.path}: image {name}", file[name]
                if not isinstance(group, h5py.Group):
                    raise UserError(f"{where}: found no group, expected one with {' '.join(FIELDS)}")
                yield make_image(name, {field: group[field][()] for field in FIELDS if field in group}, where)
