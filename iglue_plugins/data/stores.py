"""Region features on disk: a flat file that is mapped into memory, with a table of the images beside it.

A store is a folder of three files:

    features.bin    (rows, feature_size): image after image, the mean of its boxes' features, then those of each box
    index.parquet   a row for each image: id, offset (its first row in features.bin), num_boxes, boxes (x1 y1 x2 y2 in
                    pixels, one after the other), width, height, digest
    store.json      `Metadata`; written last, so a folder without it is unfinished
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from iglue_plugins.data.regions import RegionLayout, lay_out
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.threads import single_thread

FEATURES, INDEX, METADATA, UNFINISHED = "features.bin", "index.parquet", "store.json", "unfinished"

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
    """What tells one source of a conversion from another: its name, and its bytes (a file) or its number of images."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    size: int


class Metadata(BaseModel):
    """What store.json holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    dtype: DTypeName
    feature_size: int
    images: int
    boxes: int
    sources: tuple[SourceIdentity, ...]
    left_out: dict[str, tuple[str, ...]]  # images that were not stored, by reason
    noted: dict[str, int]  # how many images there is something to know about
    fingerprint: str


def digest(features: np.ndarray, boxes: np.ndarray, width: float, height: float) -> bytes:
    """8 bytes that change when an image's regions do: its rows in features.bin, float32 boxes, size in pixels."""
    content = hashlib.blake2b(features, digest_size=8)
    content.update(boxes)
    content.update(np.asarray([width, height], dtype=np.float32))
    return content.digest()


class MappedRegions:
    """A region store on disk, whose memory the processes that read it share; it pickles as its path.

    Raises:
        UserError: the folder holds no finished store, or a damaged one.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.metadata = read_metadata(self.folder)
        self.feature_size = self.metadata.feature_size
        index = _read_index(self.folder / INDEX, self.metadata)
        self.ids: list[str] = index["id"].to_pylist()
        self._counts = index["num_boxes"].to_numpy().astype(np.int64)
        self._offsets = index["offset"].to_numpy()
        self._first_boxes = self._counts.cumsum() - self._counts
        self._sizes = np.stack([index[side].to_numpy() for side in ("width", "height")], 1).astype(np.float32)
        self._boxes = index["boxes"].combine_chunks().flatten().to_numpy().reshape(-1, 4)
        self._features = self._map_features()

    def _map_features(self) -> Tensor:
        path = self.folder / FEATURES
        shape = (self.metadata.boxes + self.metadata.images, self.feature_size)
        expected = shape[0] * shape[1] * np.dtype(self.metadata.dtype).itemsize
        found = path.stat().st_size if path.is_file() else 0
        if found != expected:
            raise UserError(f"{path}: found {found} bytes, expected {expected}; copy or convert the store again")
        # Mode c: the pages are the file's own and shared, and torch gets memory that it may think writable.
        return torch.from_numpy(np.memmap(path, self.metadata.dtype, mode="c", shape=shape))

    def __reduce__(self) -> tuple[Any, ...]:
        return MappedRegions, (self.folder,)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {image_id: position for position, image_id in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._positions

    def fingerprint(self) -> str:
        """Of what is stored, without the images' order; made at conversion."""
        return self.metadata.fingerprint

    def index(self, image_ids: Iterable[str]) -> np.ndarray:
        """Positions of the images, int64. Raises UserError when one has no features."""
        return np.asarray([self.position(image_id) for image_id in image_ids], dtype=np.int64)

    def position(self, image_id: str) -> int:
        """An image's position. Raises UserError when it has no features."""
        try:
            return self._positions[image_id]
        except KeyError:
            raise UserError(
                f"image '{image_id}' has no region features among the {len(self)} in {self.folder}"
            ) from None

    def box_counts(self, positions: Sequence[int]) -> np.ndarray:
        """How many boxes each of the images at `positions` has, int64; reads no features."""
        return self._counts[np.asarray(positions, dtype=np.int64)]

    def gather(self, positions: Sequence[int], layout: RegionLayout = RegionLayout()) -> dict[str, Tensor]:
        """Regions of the images at `positions`, padded to the most among them, as `regions.lay_out`."""
        positions = np.asarray(positions, dtype=np.int64)
        return _gather([(self, np.arange(len(positions)), positions)], layout)

    def features(self, position: int) -> np.ndarray:
        """An image's features as stored, (1 + boxes, feature_size): the mean of all, then each box's."""
        offset = self._offsets[position]
        return self._features[offset : offset + 1 + self._counts[position]].numpy()

    def boxes(self, position: int) -> np.ndarray:
        """An image's boxes, float32 (boxes, 4): x1 y1 x2 y2 in pixels."""
        first = self._first_boxes[position]
        return self._boxes[first : first + self._counts[position]]

    def size(self, position: int) -> tuple[float, float]:
        """An image's width and height in pixels."""
        return tuple(self._sizes[position].tolist())

    def digests(self) -> list[bytes]:
        """The digest that each image's features had at conversion."""
        return pq.read_table(self.folder / INDEX, columns=["digest"], use_threads=False)["digest"].to_pylist()


Part = tuple[MappedRegions, np.ndarray, np.ndarray]  # a store, a batch's rows that come from it, their positions in it


class RegionStores:
    """The stores in a folder as one: image `flickr30k/1007129816` is image `1007129816` of the store flickr30k.

    A store is opened when one of its images is asked for. A position says which store (in the order of opening) and
    where in it, so it stays good while more stores are opened, and in other processes that are given this object.
    """

    _STRIDE = 2**40

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._numbers: dict[str, int] = {}
        self._stores: list[MappedRegions] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.folder, list(self._numbers))

    @property
    def feature_size(self) -> int:
        """The stores' feature size. Raises UserError when the folder holds no store."""
        if not self._stores:
            finished = sorted(path.parent.name for path in self.folder.glob(f"*/{METADATA}"))
            if not finished:
                raise UserError(
                    f"{self.folder}: found no store of region features, expected at least one; make it "
                    f"with `iglue data convert SOURCE {self.folder}/STORE`"
                )
            self.store(finished[0])
        return self._stores[0].feature_size

    def store(self, name: str) -> MappedRegions:
        """A store by its folder's name.

        Raises:
            UserError: there is no such store, it is damaged, or its features are of another size than those opened.
        """
        if name not in self._numbers:
            store = MappedRegions(self.folder / name)
            for other in self._stores[:1]:
                if store.feature_size != other.feature_size:
                    raise UserError(
                        f"{store.folder}: found features of size {store.feature_size}, expected "
                        f"{other.feature_size} as in {other.folder}"
                    )
            self._numbers[name] = len(self._stores)
            self._stores.append(store)
        return self._stores[self._numbers[name]]

    def index(self, image_ids: Iterable[str]) -> np.ndarray:
        """Positions of the images, int64. Raises UserError when one has no features, or as `store` does."""
        return np.asarray([self._position(image_id) for image_id in image_ids], dtype=np.int64)

    def _position(self, image_id: str) -> int:
        name, slash, image = image_id.partition("/")
        if not slash:
            raise UserError(f"found image id '{image_id}', expected STORE/IMAGE with a store in {self.folder}")
        position = self.store(name).position(image)
        return self._numbers[name] * self._STRIDE + position

    def box_counts(self, positions: Sequence[int]) -> np.ndarray:
        """How many boxes each of the images at `positions` has, int64; reads no features."""
        return _box_counts(self._by_store(positions))

    def gather(self, positions: Sequence[int], layout: RegionLayout = RegionLayout()) -> dict[str, Tensor]:
        """Regions of the images at `positions`, padded to the most among them, as `regions.lay_out`."""
        return _gather(self._by_store(positions), layout)

    def _by_store(self, positions: Sequence[int]) -> list[Part]:
        numbers, local = np.divmod(np.asarray(positions, dtype=np.int64), self._STRIDE)
        parts = [(number, np.flatnonzero(numbers == number)) for number in np.unique(numbers)]
        return [(self._stores[number], rows, local[rows]) for number, rows in parts]


def _reopened(folder: Path, names: Sequence[str]) -> RegionStores:
    stores = RegionStores(folder)
    for name in names:
        stores.store(name)
    return stores


def _box_counts(parts: Sequence[Part]) -> np.ndarray:
    counts = np.empty(sum(len(rows) for _, rows, _ in parts), dtype=np.int64)
    for store, rows, positions in parts:
        counts[rows] = store.box_counts(positions)
    return counts


def _gather(parts: Sequence[Part], layout: RegionLayout) -> dict[str, Tensor]:
    mean = int(layout.global_region)  # the row that stands before the boxes' rows, kept or not
    counts = _box_counts(parts)
    if layout.max_regions is not None:
        counts = np.minimum(counts, layout.max_regions - mean)
    mask = np.arange(counts.max()) < counts[:, None]
    features = torch.empty(len(mask), mean + mask.shape[1], parts[0][0].feature_size)
    boxes, sizes = np.zeros((*mask.shape, 4), dtype=np.float32), np.empty((len(mask), 2), dtype=np.float32)
    images = features.unbind()
    with single_thread():
        for store, rows, positions in parts:
            sizes[rows] = store._sizes[positions]
            for row, offset, first, count in zip(
                rows.tolist(),
                (store._offsets[positions] + 1 - mean).tolist(),
                store._first_boxes[positions].tolist(),
                counts[rows].tolist(),
            ):
                # Straight from the map into the batch, converted on the way; an index would make a copy in between.
                images[row].narrow(0, 0, mean + count).copy_(store._features.narrow(0, offset, mean + count))
                boxes[row, :count] = store._boxes[first : first + count]
    if not mask.all():
        features[:, mean:][torch.from_numpy(~mask)] = 0
    return lay_out(features, torch.from_numpy(boxes), torch.from_numpy(sizes), torch.from_numpy(mask).long(), layout)


def read_metadata(folder: Path) -> Metadata:
    """What a store's store.json says. Raises UserError when there is none or it is damaged."""
    path = folder / METADATA
    try:
        return Metadata.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        if (folder / UNFINISHED).is_dir():
            raise UserError(
                f"{folder}: found an unfinished store, expected a whole one; run its `iglue data convert` "
                "command again, which goes on where it stopped"
            ) from None
        raise UserError(
            f"{folder}: found no store of region features, expected one; make it with "
            f"`iglue data convert SOURCE {folder}`"
        ) from None
    except (OSError, ValidationError) as error:
        raise UserError(
            f"{path}: found {' '.join(str(error).split())}, expected a store's metadata; convert the store again"
        ) from error


def _read_index(path: Path, metadata: Metadata) -> pa.Table:
    columns = [name for name in INDEX_SCHEMA.names if name != "digest"]
    try:
        table = pq.read_table(path, columns=columns, use_threads=False)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{path}: found {' '.join(str(error).split())}, expected a store's index; copy or convert the store again"
        ) from error
    counts = table["num_boxes"].to_numpy().astype(np.int64)
    offsets = (counts + 1).cumsum() - (counts + 1)
    if (len(table), counts.sum()) != (metadata.images, metadata.boxes) or (table["offset"].to_numpy() != offsets).any():
        raise UserError(
            f"{path}: found {len(table)} images with {counts.sum()} boxes, or offsets that do not fit, "
            f"expected {metadata.images} and {metadata.boxes}; copy or convert the store again"
        )
    return table
