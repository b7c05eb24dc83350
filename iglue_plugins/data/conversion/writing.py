"""A store in the making: images are appended, and what is there when the process ends is kept for the next one.

Beside features.bin, which grows, the folder has `unfinished/`: settings.json, which says what is being converted, and a
table for every PART images with a row for each image read. What features.bin holds beyond these rows is written again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from iglue_plugins.data import stores
from iglue_plugins.data.conversion.images import AGAIN, Image
from iglue_plugins.data.stores import DTypeName, MappedRegions, Metadata, SourceIdentity
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import atomic_path

PART = 250  # images

PART_SCHEMA = pa.schema(
    [
        *stores.INDEX_SCHEMA,
        ("feature_size", pa.int32()),
        ("source", pa.int32()),
        ("left_out", pa.string()),
        ("noted", pa.string()),
    ]
)


class Settings(BaseModel):
    """What a store is made from, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dtype: DTypeName
    sources: tuple[SourceIdentity, ...]

    def __str__(self) -> str:
        return f"{self.dtype} from {' and '.join(f'{source.name} (size {source.size})' for source in self.sources)}"


@contextlib.contextmanager
def claimed(folder: Path, settings: Settings) -> Iterator[None]:
    """Hold a new folder, or one with an unfinished store of these settings, against other processes.

    Raises:
        UserError: the folder holds something else, is held by another process, or cannot be written.
    """
    parts = folder / stores.UNFINISHED
    path = parts / "settings.json"
    with contextlib.ExitStack() as held:
        with _writing(folder):
            if not parts.is_dir() and folder.is_dir() and any(folder.iterdir()):
                raise UserError(f"{folder}: found a folder with other files in it, expected a new or empty one")
            parts.mkdir(parents=True, exist_ok=True)
            try:
                held.enter_context(FileLock(parts / ".lock").acquire(timeout=0))
            except Timeout:
                raise UserError(f"{folder}: found another process that converts into it, expected no other") from None
            if not path.exists():
                _write_text(path, settings.model_dump_json())
        check_settings(folder, _read_settings(path), settings)
        yield


def _read_settings(path: Path) -> Settings:
    try:
        return Settings.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path}: found {' '.join(str(error).split())}, expected what an earlier conversion left; delete "
        f"{path.parents[1]} and convert again"
    )


class StoreWriter:
    """Appends images to a store in a claimed folder, after those that an earlier process appended.

    Use as a context manager; what was appended is kept whatever ends the context.

    Raises:
        UserError: the folder cannot be written, or what an earlier process left in it is damaged.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        self._parts = folder / stores.UNFINISHED
        images = self._images(["id", "num_boxes", "digest", "feature_size", "source"]).to_pylist()
        stored = [image for image in images if image["num_boxes"]]
        self.read = Counter(image["source"] for image in images)  # how many of each source, by its number
        self._part: tuple[int, list[dict]] = (len(images), [])  # images in tables, and those that are not yet
        self._digests: dict[str, bytes] = {image["id"]: image["digest"] for image in stored}
        self._rows = sum(1 + image["num_boxes"] for image in stored)  # in features.bin
        self._feature_size: int | None = stored[0]["feature_size"] if stored else None
        self._file = self._open_features()

    def _images(self, columns: list[str]) -> pa.Table:
        tables = [PART_SCHEMA.empty_table().select(columns)]
        for path in sorted(self._parts.glob("*.parquet")):
            try:
                tables.append(pq.read_table(path, columns=columns, use_threads=False))
            except (OSError, ValueError) as error:
                raise _damaged(path, error) from error
        return pa.concat_tables(tables)

    def _open_features(self) -> BinaryIO:
        path = self.folder / stores.FEATURES
        expected = self._rows * (self._feature_size or 0) * np.dtype(self.settings.dtype).itemsize
        with _writing(path):
            path.touch()
            if (found := path.stat().st_size) < expected:
                raise UserError(
                    f"{path}: found {found} bytes, expected at least {expected} of an earlier conversion; "
                    f"delete {self.folder} and convert again"
                )
            os.truncate(path, expected)
            return path.open("ab")

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._keep()
        except UserError:
            if error[0] is None:
                raise
        finally:
            with contextlib.suppress(OSError):
                self._file.close()

    def add(self, source: int, image: Image) -> None:
        """Append an image of a source, or note why it is left out.

        Raises:
            UserError: its features are of another size than those before, or too large for float16; another image with
                other regions has its id; or the folder cannot be written.
        """
        row = {"id": image.id, "source": source, "num_boxes": 0, "left_out": image.left_out, "noted": image.noted}
        if image.left_out is None:
            features = self._converted(image)
            row["digest"] = stores.digest(features, image.boxes, image.width, image.height)
            if image.id in self._digests:
                self._check_again(image, row["digest"])
                row["noted"] = AGAIN
            else:
                with _writing(self.folder):
                    self._file.write(features)
                row |= {
                    "offset": self._rows,
                    "num_boxes": len(image.boxes),
                    "boxes": image.boxes.ravel(),
                    "width": image.width,
                    "height": image.height,
                    "feature_size": self._feature_size,
                }
                self._rows += len(features)
                self._digests[image.id] = row["digest"]
        rows = self._part[1]
        rows.append(row)
        self.read[source] += 1
        if len(rows) == PART:
            self._keep()

    def _converted(self, image: Image) -> np.ndarray:
        """The image's rows in features.bin."""
        size = image.features.shape[1]
        if size != (self._feature_size or size):
            raise UserError(
                f"{image.where}: found features of size {size}, expected {self._feature_size} as in the "
                "images before it"
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
        return torch.from_numpy(features).to(dtype).numpy()  # numpy takes 60 times as long

    def _check_again(self, image: Image, found: bytes) -> None:
        if found != self._digests[image.id]:
            raise UserError(
                f"{image.where}: found the image id '{image.id}' again with other regions, expected each "
                "image once; convert the sources into stores of their own"
            )

    def _keep(self) -> None:
        """Make sure that a later process finds what was appended so far."""
        before, rows = self._part
        if rows:
            with _writing(self.folder):
                self._file.flush()
                os.fsync(self._file.fileno())
                table = pa.Table.from_pylist(rows, PART_SCHEMA)
                _write_table(self._parts / f"{before:010}.parquet", table)
            self._part = (before + len(rows), [])

    def finish(self) -> Metadata:
        """Make the store whole, and check that it is.

        Raises:
            UserError: no image could be stored, or the folder cannot be written.
        """
        self._keep()
        images = self._images(PART_SCHEMA.names)
        index = images.filter(pc.greater(images["num_boxes"], 0)).select(stores.INDEX_SCHEMA.names)
        left_out = {
            reason: images.filter(pc.equal(images["left_out"], reason))["id"].to_pylist()
            for reason in pc.unique(images["left_out"].drop_null()).to_pylist()
        }
        if not len(index):
            raise UserError(
                f"{self.folder}: found no image that can be stored among {len(images)} "
                f"({', '.join(left_out)}), expected at least one"
            )
        metadata = Metadata(
            dtype=self.settings.dtype,
            feature_size=self._feature_size,
            images=len(index),
            boxes=self._rows - len(index),
            sources=self.settings.sources,
            left_out=left_out,
            noted=Counter(images["noted"].drop_null().to_pylist()),
            fingerprint=self._fingerprint(),
        )
        text = metadata.model_dump_json(indent=2) + "\n"
        with _writing(self.folder):
            _write_table(self.folder / stores.INDEX, index)
            _write_text(self.folder / stores.METADATA, text)
        MappedRegions(self.folder)  # reads back what was written, and compares the counts
        shutil.rmtree(self._parts)
        return metadata

    def _fingerprint(self) -> str:
        content = hashlib.sha256(f"{self.settings.dtype} {self._feature_size}".encode())
        for image_id, found in sorted(self._digests.items()):
            content.update(image_id.encode() + found)
        return content.hexdigest()


def check_settings(folder: Path, found: Settings, expected: Settings) -> None:
    """Raises UserError when a folder was converted from something else, or otherwise."""
    if found != expected:
        raise UserError(
            f"{folder}: found a store of {found}, expected {expected}; name another DESTINATION, or delete this one"
        )


def _write_text(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _write_table(path: Path, table: pa.Table) -> None:
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}), expected a folder with room; what is "
            "converted is kept, and the same command goes on from there"
        ) from error
