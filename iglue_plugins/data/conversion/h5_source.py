"""H5 files with a group for each image (the `boxes36` files of the IGLUE release)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import h5py

from iglue_plugins.data.conversion.images import SourceImage, image_id, make_image
from iglue_plugins.utils.errors import UserError

H5_FIELDS = ("features", "boxes", "img_w", "img_h")
MAX_FIELD_SIZE = 2**30  # bytes; 100 boxes with 2,048 features are less than a thousandth of it


class H5Source:
    """Reads images from an H5 file: the group <image id> holds features (n, D), boxes (n, 4), img_w and img_h.

    Args:
        path: The file.

    Raises:
        UserError: The file cannot be read as H5, or is cut short.
    """

    count_is_exact = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        with self._open() as file:
            self.num_images = len(file)

    @contextmanager
    def _open(self) -> Iterator[h5py.File]:
        """Opens the file for reading, and turns errors of h5py in the block into user errors."""
        try:
            with h5py.File(self.path, "r", locking=False) as file:  # not every file system can lock
                yield file
        except UserError:
            raise
        except Exception as error:  # h5py raises almost any error for a damaged file
            reason = " ".join(str(error).split())
            raise UserError(f"{self.path}: cannot be read as H5 ({reason}); download or make the file again") from error

    def read(self, start: int) -> Iterator[SourceImage]:
        """Reads the images but the first `start`; see `RegionSource.read`."""
        with self._open() as file:
            for name in islice(file, start, None):
                if isinstance(name, bytes):  # h5py returns a name that is not UTF-8 as it is
                    name = name.decode(errors="surrogateescape")
                    image_id(name, f"{self.path}")
                where, group = f"{self.path}: image {name}", file[name]
                if not isinstance(group, h5py.Group):
                    raise UserError(
                        f"{where}: is not a group; an H5 source needs for each image a group with "
                        f"{', '.join(H5_FIELDS)}"
                    )
                yield make_image(name, {field: _read(group[field]) for field in H5_FIELDS if field in group}, where)


def _read(dataset: h5py.Dataset) -> Any:
    """Reads a field. A damaged file may say that it is of any size, and HDF5 would take the memory for it."""
    if dataset.nbytes > MAX_FIELD_SIZE:
        raise ValueError(f"{dataset.name} of {dataset.nbytes} bytes")
    return dataset[()]
