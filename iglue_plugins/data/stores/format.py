"""The files of a region store: their content, reading and checks.

A store is a folder of three files, and of a fourth one if a detector has made it (`objects`):

    features.bin    (rows, feature_size): image after image, the mean of its boxes' features, then those of each box
    index.parquet   a row for each image: id, offset (its first row in features.bin), num_boxes, boxes (x1 y1 x2 y2 in
                    pixels, one after the other), width, height, digest
    store.json      `StoreMetadata`; written last, so a folder without it is unfinished
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import atomic_path
from iglue_plugins.utils.text import shown

FEATURES_FILE, INDEX_FILE, METADATA_FILE = "features.bin", "index.parquet", "store.json"
UNFINISHED_FOLDER = "unfinished"

INDEX_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("offset", pa.int64()),
        ("num_boxes", pa.int32()),
        ("boxes", pa.list_(pa.float32())),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("digest", pa.binary(8)),
    ]
)

DTypeName = Literal["float16", "float32"]


class SourceIdentity(BaseModel):
    """Tells one source of a conversion from another.

    Attributes:
        name: The name of the file or folder; bytes that are not UTF-8 are escaped.
        size: The bytes of a file, or the number of images of a folder.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    size: int


class GridSettings(BaseModel):
    """Says how a vision model's features of the cells of a grid were made from pictures.

    Attributes:
        model: The hub id of the model, or the name of its folder.
        revision: The hub's commit, or the hash of the folder's content.
        grid: The number of rows, and of columns, of cells; a cell is a region.
        precision: What the model computed in.
        image_processor: The settings of the model's image processor.
        image_backend: What the image processor computed with, such as 'pil' or 'torchvision', whose numbers differ
            a little.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    revision: str
    grid: PositiveInt
    precision: Literal["float32", "bfloat16"]
    image_processor: dict[str, Any]
    image_backend: str

    def __str__(self) -> str:
        return (
            f"{self.model} at {self.revision[:12]}, grid {self.grid}, {self.precision}, image processor by "
            f"{self.image_backend} {shown(self.image_processor)}"
        )


class DetectionSettings(BaseModel):
    """Says how a detector's regions were made from pictures.

    Attributes:
        detector: The detector's name, such as 'vg-r101', or a hub id.
        preset: How boxes are chosen and what their features are, such as 'iglue-36'.
        weights: The hub id of the weights, or the name of their file or folder.
        revision: The hub's commit, or the hash of the file's or folder's content.
        precision: What the detector computed in.
        options: All other settings that determine the regions: sizes, thresholds, numbers of boxes, what pictures are
            resized with.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    detector: str
    preset: str
    weights: str
    revision: str
    precision: Literal["float32", "bfloat16"]
    options: dict[str, Any]

    def __str__(self) -> str:
        return (
            f"{self.detector} ({self.weights} at {self.revision[:12]}), preset {self.preset}, {self.precision}, "
            f"{shown(self.options)}"
        )


ExtractionSettings = GridSettings | DetectionSettings


class StoreMetadata(BaseModel):
    """Describes a store; it is the content of store.json.

    Attributes:
        format: The version of the store's format.
        dtype: The type of the numbers in features.bin.
        feature_size: The number of features of a region.
        images: The number of images in the store.
        boxes: The number of boxes of all images.
        sources: The sources that the store was converted from.
        extraction: How the features were made, if the sources are pictures.
        left_out: The ids of the images that are not stored, by reason.
        noted: The number of images with a peculiarity that a user may want to know of, by peculiarity.
        fingerprint: A hash of the regions and sizes of all images, whatever the order of the images.
        objects: The hash of the file that says what the regions are, if there is one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    dtype: DTypeName
    feature_size: PositiveInt
    images: PositiveInt
    boxes: PositiveInt
    sources: tuple[SourceIdentity, ...]
    extraction: ExtractionSettings | None = None
    left_out: dict[str, tuple[str, ...]]
    noted: dict[str, int]
    fingerprint: str
    objects: str | None = None

    def to_json(self) -> str:
        """Return the content of store.json, in which a store that is not of pictures has no more keys than it needs."""
        unset = {name for name in ("extraction", "objects") if getattr(self, name) is None}
        return self.model_dump_json(indent=2, exclude=unset) + "\n"


def image_digest(features: np.ndarray, boxes: np.ndarray, width: float, height: float) -> bytes:
    """Computes a checksum of an image's regions.

    Args:
        features: (1 + boxes, feature_size) float16 or float32, the image's rows in features.bin.
        boxes: (boxes, 4) float32, x1 y1 x2 y2 in pixels.
        width: The image's width in pixels.
        height: The image's height in pixels.

    Returns:
        8 bytes.
    """
    digest = hashlib.blake2b(features.data, digest_size=8)
    digest.update(boxes.data)
    digest.update(np.asarray([width, height], dtype=np.float32).data)
    return digest.digest()


class DamagedTableError(Exception):
    """Says why a Parquet file cannot be read, in one line."""


def read_table(path: Path, columns: list[str]) -> pa.Table:
    """Reads columns of a Parquet file, whose pages are compared with their checksums if they have any.

    Args:
        path: The file.
        columns: The columns' names.

    Raises:
        DamagedTableError: The file cannot be read, is damaged, or lacks a column.
    """
    try:
        with path.open("rb") as file:  # pyarrow itself opens only names in UTF-8
            table = pq.read_table(file, columns=columns, use_threads=False, page_checksum_verification=True)
        table.validate(full=True)
    except (OSError, ValueError, KeyError, MemoryError, pa.ArrowException) as error:
        raise DamagedTableError(" ".join(str(error).split())) from error
    return table


def write_table(path: Path, table: pa.Table) -> None:
    """Writes a Parquet file with checksums of its pages, so that it has either the old content or the new one.

    Args:
        path: The file.
        table: Its content.

    Raises:
        OSError: The file cannot be written.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        pq.write_table(table, file, write_page_checksum=True)


def read_metadata(folder: Path) -> StoreMetadata:
    """Reads a store's store.json.

    Args:
        folder: The folder of the store.

    Returns:
        The metadata.

    Raises:
        UserError: The folder holds no store or an unfinished one, or its store.json is damaged.
    """
    path = folder / METADATA_FILE
    try:
        return StoreMetadata.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        if (folder / UNFINISHED_FOLDER).is_dir():
            raise UserError(
                f"{folder}: the store is unfinished; run the command that makes it (`iglue data convert`, `extract` or "
                "`detect`) again, which continues where it stopped"
            ) from None
        raise UserError(
            f"{folder}: holds no store of region features; make one with `iglue data convert SOURCE {folder}`"
        ) from None
    except (OSError, ValidationError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: the store's metadata cannot be read ({reason}); convert the store again") from error


def read_index(path: Path, metadata: StoreMetadata) -> pa.Table:
    """Reads a store's index.parquet and checks that it agrees with the metadata.

    Args:
        path: The index.parquet.
        metadata: What the store's store.json says.

    Returns:
        A table of the columns of INDEX_SCHEMA, without `digest`.

    Raises:
        UserError: The file is missing, damaged, or does not agree with the metadata.
    """
    table = read_index_columns(path, [name for name in INDEX_SCHEMA.names if name != "digest"])
    counts = table["num_boxes"].to_numpy().astype(np.int64)
    offsets = (counts + 1).cumsum() - (counts + 1)
    if (len(table), counts.sum()) != (metadata.images, metadata.boxes):
        raise UserError(
            f"{path}: has {len(table)} images with {counts.sum()} boxes instead of the {metadata.images} images with "
            f"{metadata.boxes} boxes of {METADATA_FILE}; copy or convert the store again"
        )
    if (pc.list_value_length(table["boxes"]).to_numpy() != 4 * counts).any():
        raise UserError(
            f"{path}: the column boxes does not fit the numbers of boxes in num_boxes; copy or convert the store again"
        )
    if (table["offset"].to_numpy() != offsets).any():
        raise UserError(
            f"{path}: the column offset does not fit the numbers of boxes in num_boxes; copy or convert the store again"
        )
    return table


def read_index_columns(path: Path, columns: list[str]) -> pa.Table:
    """Reads columns of a store's index.parquet.

    Args:
        path: The index.parquet.
        columns: Names in INDEX_SCHEMA.

    Raises:
        UserError: The file is missing or damaged, or a column is missing, of another type or lacks values.
    """
    try:
        table = read_table(path, columns)
    except DamagedTableError as error:
        raise UserError(
            f"{path}: the store's index cannot be read ({error}); copy or convert the store again"
        ) from error
    for name in table.column_names:
        found, expected = table.schema.field(name).type, INDEX_SCHEMA.field(name).type
        if not found.equals(expected) or table[name].null_count:
            what = f"is of type {found}" if not found.equals(expected) else "lacks values"
            raise UserError(f"{path}: the column {name} {what}; copy or convert the store again")
    return table
