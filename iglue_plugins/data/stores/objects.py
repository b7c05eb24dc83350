"""What a detector took the regions of a store for: the classes and attributes beside the features.

A store that a detector has made has a fourth file, `objects.parquet`, with a row for each image in the order of
`index.parquet`: id, classes, scores, attributes and attribute_scores, lists of a number for each box; those of
attributes are null where the detector knows none. The names of classes and attributes stand in the file's metadata.
Models do not read this file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from iglue_plugins.data.stores.format import DamagedTableError, read_table, write_table
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.strict_json import parse_json

OBJECTS_FILE = "objects.parquet"
CLASS_NAMES, ATTRIBUTE_NAMES = b"class_names", b"attribute_names"  # keys of the file's metadata
OBJECT_FIELDS = [
    pa.field("classes", pa.list_(pa.int64())),
    pa.field("scores", pa.list_(pa.float32())),
    pa.field("attributes", pa.list_(pa.int64())),
    pa.field("attribute_scores", pa.list_(pa.float32())),
]
OBJECTS_SCHEMA = pa.schema([pa.field("id", pa.string()), *OBJECT_FIELDS])


@dataclass(frozen=True)
class Objects:
    """Holds what a detector took the n regions of an image for.

    Attributes:
        classes: (n,) int64, positions in the detector's list of classes.
        scores: (n,) float32, the probabilities of the classes.
        attributes: (n,) int64, positions in the detector's list of attributes; None if it knows none.
        attribute_scores: (n,) float32, the probabilities of the attributes; None if it knows none.
    """

    classes: np.ndarray
    scores: np.ndarray
    attributes: np.ndarray | None = None
    attribute_scores: np.ndarray | None = None


@dataclass(frozen=True)
class ObjectNames:
    """Holds the names of a detector's classes and attributes.

    Attributes:
        classes: The names of classes; empty if they are not known.
        attributes: The names of attributes; empty if they are not known.
    """

    classes: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()

    def label(self, objects: Objects, region: int) -> str:
        """Describe a region in words, such as 'red car 0.83'; classes and attributes without a name by their number.

        Args:
            objects: What the regions of an image are.
            region: The position of a region.

        Returns:
            The attribute, if there is one, the class, and the probability of the class.
        """
        words = [_name(self.classes, "class", objects.classes[region])]
        if objects.attributes is not None:
            words.insert(0, _name(self.attributes, "attribute", objects.attributes[region]))
        return f"{' '.join(words)} {objects.scores[region]:.2f}"


def _name(names: Sequence[str], kind: str, number: int) -> str:
    return names[number] if 0 <= number < len(names) else f"{kind} {number}"


class StoredObjects:
    """Reads what a detector took the regions of a store's images for.

    Args:
        path: The file, `objects.parquet` in the folder of the store.
        ids: The ids of the store's images, in their order.
        counts: (images,) int64, their numbers of boxes.

    Attributes:
        names: The names of classes and attributes.

    Raises:
        UserError: The file is missing or damaged, or does not fit the images.
    """

    def __init__(self, path: Path, ids: Sequence[str], counts: np.ndarray) -> None:
        try:
            table = read_table(path, OBJECTS_SCHEMA.names)
            metadata = table.schema.metadata or {}
            self.names = ObjectNames(*(_names(metadata, kind) for kind in (CLASS_NAMES, ATTRIBUTE_NAMES)))
        except (DamagedTableError, ValueError) as error:
            raise _unusable(path, f"cannot be read ({error})") from error
        if not table.schema.remove_metadata().equals(OBJECTS_SCHEMA):
            columns = ", ".join(f"{field.name}: {field.type}" for field in table.schema)
            raise _unusable(path, f"has the columns {columns}")
        if table["id"].to_pylist() != list(ids):
            raise _unusable(path, "is of other images than the store's")
        self._columns = {field.name: table[field.name].combine_chunks() for field in OBJECT_FIELDS}
        for name, column in self._columns.items():
            lengths = column.value_lengths().fill_null(-1).to_numpy()
            may_lack = name in ("attributes", "attribute_scores")
            if ((lengths != counts) & ~((lengths == -1) & may_lack)).any() or column.flatten().null_count:
                raise _unusable(path, f"has a column {name} that does not fit the numbers of boxes")

    def image(self, position: int) -> Objects:
        """Return what the regions of an image are.

        Args:
            position: The position of the image in the store.
        """
        lists: dict[str, Any] = {name: column[position].values for name, column in self._columns.items()}
        numbers: dict[str, Any] = {
            name: None if values is None else values.to_numpy() for name, values in lists.items()
        }
        return Objects(**numbers)


def _unusable(path: Path, what: str) -> UserError:
    return UserError(f"{path}: the file of the store's objects {what}; copy or make the store again")


def _names(metadata: Mapping[bytes, bytes], kind: bytes) -> tuple[str, ...]:
    names = parse_json(metadata.get(kind, b"[]"))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{kind.decode()} is no list of names")
    return tuple(names)


def write_objects(path: Path, images: pa.Table, names: ObjectNames) -> None:
    """Write the file of objects.

    Args:
        path: The file.
        images: A row for each image, with the columns of OBJECTS_SCHEMA among others.
        names: The names of classes and attributes.

    Raises:
        OSError: The file cannot be written.
    """
    lists = {CLASS_NAMES: names.classes, ATTRIBUTE_NAMES: names.attributes}
    metadata = {kind: json.dumps(values).encode() for kind, values in lists.items()}
    write_table(path, images.select(OBJECTS_SCHEMA.names).replace_schema_metadata(metadata))


def object_columns(objects: Objects | None) -> dict[str, np.ndarray | None]:
    """Return the values of an image in the columns of OBJECT_FIELDS.

    Args:
        objects: What the image's regions are; None if nothing is known of that.
    """
    return {field.name: None if objects is None else getattr(objects, field.name) for field in OBJECT_FIELDS}
