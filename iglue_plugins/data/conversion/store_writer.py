"""The writer of a store, which appends images; what is stored when the process ends is kept for the next process.

Beside features.bin, which grows, the store's folder has a folder `unfinished` with a table for every IMAGES_PER_TABLE
images, or for those of SECONDS_PER_TABLE, which has a row for each image read. What features.bin holds beyond these
rows is written again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from iglue_plugins.data.conversion.destination import (
    ConversionSettings,
    damaged_file_error,
    explain_failed_write,
    write_text,
)
from iglue_plugins.data.conversion.images import DUPLICATE, SourceImage
from iglue_plugins.data.stores.format import (
    FEATURES_FILE,
    INDEX_FILE,
    INDEX_SCHEMA,
    METADATA_FILE,
    UNFINISHED_FOLDER,
    DamagedTableError,
    DetectionSettings,
    StoreMetadata,
    image_digest,
    read_table,
    write_table,
)
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.data.stores.objects import OBJECT_FIELDS, OBJECTS_FILE, ObjectNames, object_columns, write_objects
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import content_hash

IMAGES_PER_TABLE = 250
SECONDS_PER_TABLE = 60  # a detector takes seconds for an image

PROGRESS_SCHEMA = pa.schema(
    [
        *INDEX_SCHEMA,
        ("feature_size", pa.int32()),
        ("source", pa.int32()),
        ("left_out", pa.string()),
        ("noted", pa.string()),
    ]
)


class StoreWriter:
    """Appends images to a store, after those that an earlier process appended.

    Use it as a context manager in a block of `locked_destination`. What was appended is kept whatever ends the block.

    Args:
        folder: The folder of the store.
        settings: What the store is made from.

    Attributes:
        folder: The folder of the store.
        settings: What the store is made from.
        images_read: The number of images read from each source, by the source's number.

    Raises:
        UserError: The folder cannot be written, or what an earlier process left in it is damaged.
    """

    def __init__(self, folder: Path, settings: ConversionSettings) -> None:
        self.folder = folder
        self.settings = settings
        self._unfinished = folder / UNFINISHED_FOLDER
        self._schema = PROGRESS_SCHEMA
        if isinstance(settings.extraction, DetectionSettings):
            self._schema = pa.schema([*PROGRESS_SCHEMA, *OBJECT_FIELDS])
        self._last_saved = time.monotonic()
        images = self._saved_images(["id", "num_boxes", "digest", "feature_size", "source"]).to_pylist()
        stored = [image for image in images if image["num_boxes"]]
        self.images_read = Counter(image["source"] for image in images)
        self._num_saved = len(images)
        self._unsaved: list[dict[str, Any]] = []  # rows of PROGRESS_SCHEMA that are in no table yet
        self._digests: dict[str, bytes] = {image["id"]: image["digest"] for image in stored}
        self._num_rows = sum(1 + image["num_boxes"] for image in stored)  # in features.bin
        self._feature_size: int = stored[0]["feature_size"] if stored else 0  # 0: not known yet
        self._file = self._open_features()

    def _saved_images(self, columns: list[str]) -> pa.Table:
        """Reads columns of all tables that were saved, by this process or an earlier one."""
        tables = [self._schema.empty_table().select(columns)]
        for path in sorted(self._unfinished.glob("*.parquet")):
            try:
                tables.append(read_table(path, columns))
            except DamagedTableError as error:
                raise damaged_file_error(path, error) from error
        return pa.concat_tables(tables)

    def _open_features(self) -> BinaryIO:
        """Opens features.bin to append, after cutting off what no saved table knows of."""
        path = self.folder / FEATURES_FILE
        expected = self._num_rows * self._feature_size * np.dtype(self.settings.dtype).itemsize
        with explain_failed_write(path):
            path.touch()
            if (found := path.stat().st_size) < expected:
                raise UserError(
                    f"{path}: found {found} bytes, expected at least {expected} of an earlier conversion; delete "
                    f"{self.folder} and convert again"
                )
            os.truncate(path, expected)
            return path.open("ab")

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._save_progress()
        except UserError:
            if error[0] is None:
                raise
        finally:
            with contextlib.suppress(OSError):
                self._file.close()

    def add(self, source: int, image: SourceImage) -> None:
        """Appends an image of a source, or notes why it is left out.

        Args:
            source: The source's number.
            image: The image.

        Raises:
            UserError: The image's features are of another size than those before, or too large for float16; another
                image with other regions has its id; or the folder cannot be written.
        """
        row = {"id": image.id, "source": source, "num_boxes": 0, "left_out": image.left_out, "noted": image.noted}
        if image.left_out is None:
            features = self._stored_features(image)
            digest = image_digest(features, image.boxes, image.width, image.height)
            row["digest"] = digest
            if image.id in self._digests:
                self._check_same_regions(image, digest)
                row["noted"] = DUPLICATE
            else:
                row |= self._append(image, features) | object_columns(image.objects)
                self._digests[image.id] = digest
        self._unsaved.append(row)
        self.images_read[source] += 1
        if len(self._unsaved) == IMAGES_PER_TABLE or time.monotonic() - self._last_saved > SECONDS_PER_TABLE:
            self._save_progress()

    def _append(self, image: SourceImage, features: np.ndarray) -> dict[str, Any]:
        """Appends an image's rows to features.bin, and returns what the index says of the image."""
        with explain_failed_write(self.folder):
            self._file.write(features.data)
        offset = self._num_rows
        self._num_rows += len(features)
        return {
            "offset": offset,
            "num_boxes": len(image.boxes),
            "boxes": image.boxes.ravel(),
            "width": image.width,
            "height": image.height,
            "feature_size": self._feature_size,
        }

    def _stored_features(self, image: SourceImage) -> np.ndarray:
        """Returns an image's rows in features.bin, (1 + boxes, feature_size)."""
        size = image.features.shape[1]
        if size != (self._feature_size or size):
            raise UserError(
                f"{image.where}: found features of size {size}, expected {self._feature_size} as in the images before "
                "it; convert features of each size into another store"
            )
        self._feature_size = size
        largest, most = np.abs(image.features).max(), np.finfo(self.settings.dtype).max
        if largest > most:
            raise UserError(
                f"{image.where}: found a feature of {largest:g}, expected at most {most:g}; convert with "
                "--dtype float32"
            )
        features = np.concatenate([image.features.mean(0, keepdims=True), image.features])
        dtype = getattr(torch, self.settings.dtype)
        return torch.from_numpy(features).to(dtype).numpy()  # numpy takes 60 times as long as torch

    def _check_same_regions(self, image: SourceImage, digest: bytes) -> None:
        """Checks that an image that comes a second time has the regions of the first."""
        if digest != self._digests[image.id]:
            raise UserError(
                f"{image.where}: the image id '{image.id}' comes a second time, with other regions; convert the "
                "sources into a store each"
            )

    def _save_progress(self) -> None:
        """Makes sure that a later process finds what was appended so far."""
        if self._unsaved:
            with explain_failed_write(self.folder):
                self._file.flush()
                os.fsync(self._file.fileno())
                table = pa.Table.from_pylist(self._unsaved, self._schema)
                write_table(self._unfinished / f"{self._num_saved:010}.parquet", table)
            self._num_saved += len(self._unsaved)
            self._unsaved = []
        self._last_saved = time.monotonic()

    def finish(self, names: ObjectNames = ObjectNames()) -> StoreMetadata:
        """Completes the store, and checks that it can be read.

        Args:
            names: The names of classes and attributes, if the images have objects.

        Returns:
            The store's metadata.

        Raises:
            UserError: No image could be stored, or the folder cannot be written.
        """
        self._save_progress()
        images = self._saved_images(self._schema.names)
        stored = images.filter(pc.greater(images["num_boxes"], 0))
        metadata = self._metadata(images, stored)
        with explain_failed_write(self.folder):
            write_table(self.folder / INDEX_FILE, stored.select(INDEX_SCHEMA.names))
            if "classes" in stored.column_names and not stored["classes"].null_count:
                write_objects(self.folder / OBJECTS_FILE, stored, names)
                metadata = metadata.model_copy(update={"objects": content_hash(self.folder / OBJECTS_FILE)})
            write_text(self.folder / METADATA_FILE, metadata.to_json())
        MappedRegions(self.folder)  # opening the store compares its files with each other
        shutil.rmtree(self._unfinished)
        return metadata

    def _metadata(self, images: pa.Table, stored: pa.Table) -> StoreMetadata:
        """Describes the store, from the rows of all images read and of those stored."""
        left_out = {
            reason: images.filter(pc.equal(images["left_out"], reason))["id"].to_pylist()
            for reason in pc.unique(images["left_out"].drop_null()).to_pylist()
        }
        if not len(stored):
            raise UserError(
                f"{self.folder}: none of the {len(images)} images can be stored ({', '.join(left_out)}); convert "
                "sources with at least one usable image"
            )
        return StoreMetadata(
            dtype=self.settings.dtype,
            feature_size=self._feature_size,
            images=len(stored),
            boxes=self._num_rows - len(stored),
            sources=self.settings.sources,
            extraction=self.settings.extraction,
            left_out=left_out,
            noted=Counter(images["noted"].drop_null().to_pylist()),
            fingerprint=self._fingerprint(),
        )

    def _fingerprint(self) -> str:
        """Hashes all that is stored, whatever the order of the images."""
        content = hashlib.sha256(f"{self.settings.dtype} {self._feature_size}".encode())
        for image_id, digest in sorted(self._digests.items()):
            content.update(image_id.encode() + digest)
        return content.hexdigest()
