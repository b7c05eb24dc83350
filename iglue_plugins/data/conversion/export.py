"""The writing of a store in the formats of the IGLUE release: an H5 file with a group for each image, or a TSV."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from iglue_plugins.data.conversion.tsv_source import TSV_FIELDS
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.data.stores.objects import StoredObjects
from iglue_plugins.utils.errors import UserError, explain_write_errors
from iglue_plugins.utils.files import atomic_path
from iglue_plugins.utils.progress import progress_bar
from iglue_plugins.utils.text import printable, shown

Fields = dict[str, Any]  # arrays, and numbers of NumPy
Write = Callable[[str, Fields], None]


def export_store(folder: Path, file: Path, suffix: str = "") -> int:
    """Write a store as an H5 file of IGLUE's kind, or as a TSV of LXMERT's.

    Features are written in float32; a store in float16 has rounded them. Where the detector knows no attributes, their
    numbers are zeros, as LXMERT's own scripts write them.

    Args:
        folder: The folder of the store.
        file: The file, which ends in .h5 or .tsv; it is whole or not there.
        suffix: What is put behind the images' ids, such as '.jpg'.

    Returns:
        The number of images.

    Raises:
        UserError: The store is missing or damaged, has no objects and is to be written as a TSV, or has ids that the
            format cannot hold; or the file has another ending, is there already, or cannot be written.
    """
    writers = {".h5": _h5_file, ".hdf5": _h5_file, ".tsv": _tsv_file}
    if file.suffix.lower() not in writers:
        raise UserError(f"{file}: ends in {file.suffix or 'no suffix'}; name a file that ends in {', '.join(writers)}")
    if "/" in suffix or "\t" in suffix:
        raise UserError(f"--suffix: found {shown(suffix)}, expected the ending of a file's name, such as .jpg")
    if file.exists():
        raise UserError(f"{file}: is there already; name another file, or delete it")
    store = MappedRegions(folder)
    objects = store.objects()
    if objects is None and file.suffix.lower() == ".tsv":
        raise UserError(
            f"{folder}: no detector has made this store, so that it has no classes of objects, which a TSV needs; name "
            "a file that ends in .h5"
        )
    for image_id in store.ids:
        if set(image_id) & set("/\t\r\n"):
            raise UserError(
                f"{folder}: the image id '{printable(image_id)}' has a slash, tab or line break, which names of images "
                f"in {file.name} cannot have; make the store from pictures with other names"
            )
    with explain_write_errors(file), atomic_path(file) as temporary, writers[file.suffix.lower()](temporary) as write:
        for position in progress_bar(iterable=range(len(store)), desc=file.name, unit=" images"):
            write(store.ids[position] + suffix, _fields(store, objects, position))
    return len(store)


def _fields(store: MappedRegions, objects: StoredObjects | None, position: int) -> Fields:
    """Return what IGLUE's H5 files have of an image."""
    width, height = store.size(position)
    fields = {
        "features": store.features(position)[1:].astype(np.float32),  # without the mean
        "boxes": store.boxes(position),
        "img_w": np.int64(width),
        "img_h": np.int64(height),
    }
    if objects is not None:
        found = objects.image(position)
        nothing = np.zeros(len(found.classes), dtype=np.int64)
        no_scores = nothing.astype(np.float32)
        fields |= {
            "obj_id": found.classes,
            "obj_conf": found.scores,
            "attr_id": nothing if found.attributes is None else found.attributes,
            "attr_conf": no_scores if found.attribute_scores is None else found.attribute_scores,
        }
    return fields


@contextmanager
def _h5_file(path: Path) -> Iterator[Write]:
    with h5py.File(path, "w", locking=False) as file:  # not every file system can lock

        def write(name: str, fields: Fields) -> None:
            group = file.create_group(name)
            for field, values in fields.items():
                group.create_dataset(field, data=values)

        yield write


@contextmanager
def _tsv_file(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="") as file:

        def write(name: str, fields: Fields) -> None:
            values: dict[str, Any] = {
                "img_id": name,
                "img_h": fields["img_h"],
                "img_w": fields["img_w"],
                "objects_id": _encode(fields["obj_id"]),
                "objects_conf": _encode(fields["obj_conf"]),
                "attrs_id": _encode(fields["attr_id"]),
                "attrs_conf": _encode(fields["attr_conf"]),
                "num_boxes": len(fields["boxes"]),
                "boxes": _encode(fields["boxes"]),
                "features": _encode(fields["features"]),
            }
            file.write("\t".join(str(values[field]) for field in TSV_FIELDS) + "\r\n")  # as Python's csv module ends it

        yield write


def _encode(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).data).decode()
