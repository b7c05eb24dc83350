"""One region store on disk, whose features are mapped into memory, and batches from several such stores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from iglue_plugins.data.regions import Positions, RegionLayout, apply_layout
from iglue_plugins.data.stores.format import FEATURES_FILE, INDEX_FILE, read_index, read_index_columns, read_metadata
from iglue_plugins.data.stores.objects import OBJECTS_FILE, StoredObjects
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.threads import single_loop_thread


class MappedRegions:
    """Reads a region store on disk. Processes share the memory of a store, and it is pickled as its path.

    Args:
        folder: The folder of the store.

    Attributes:
        folder: As the argument.
        metadata: The content of the store's store.json.
        feature_size: The number of features of a region.
        ids: The ids of the images, by position.

    Raises:
        UserError: The folder holds no finished store, or a damaged one.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.metadata = read_metadata(self.folder)
        self.feature_size = self.metadata.feature_size
        index = read_index(self.folder / INDEX_FILE, self.metadata)
        self.ids: list[str] = index["id"].to_pylist()
        self._counts = index["num_boxes"].to_numpy().astype(np.int64)
        self._offsets = index["offset"].to_numpy()
        self._first_boxes = self._counts.cumsum() - self._counts
        self._sizes = np.stack([index[side].to_numpy() for side in ("width", "height")], 1).astype(np.float32)
        self._boxes = index["boxes"].combine_chunks().flatten().to_numpy().reshape(-1, 4)
        self._features = self._map_features()

    def _map_features(self) -> Tensor:
        """Maps features.bin into memory, (rows, feature_size), without reading it."""
        path = self.folder / FEATURES_FILE
        shape = (self.metadata.boxes + self.metadata.images, self.feature_size)
        expected = shape[0] * shape[1] * np.dtype(self.metadata.dtype).itemsize
        found = path.stat().st_size if path.is_file() else 0
        if found != expected:
            raise UserError(f"{path}: has {found} bytes instead of {expected}; copy or convert the store again")
        # With mode "c" the processes share the pages of the file, and torch does not warn of memory that it cannot
        # write to.
        return torch.from_numpy(np.memmap(path, self.metadata.dtype, mode="c", shape=shape))

    def __reduce__(self) -> tuple[Any, ...]:
        return MappedRegions, (self.folder,)

    @cached_property
    def _positions(self) -> dict[str, int]:
        positions = {image_id: position for position, image_id in enumerate(self.ids)}
        if len(positions) < len(self.ids):
            raise UserError(
                f"{self.folder / INDEX_FILE}: {len(self.ids) - len(positions)} images have the id of another; copy or "
                "convert the store again"
            )
        return positions

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._positions

    def fingerprint(self) -> str:
        """Returns the hash of all that is stored, made at conversion; it does not depend on the images' order."""
        return self.metadata.fingerprint

    def index(self, image_ids: Iterable[str]) -> np.ndarray:
        """Looks up the positions of images.

        Args:
            image_ids: The ids of N images.

        Returns:
            (N,) int64.

        Raises:
            UserError: An image has no features in the store.
        """
        return np.asarray([self.position(image_id) for image_id in image_ids], dtype=np.int64)

    def position(self, image_id: str) -> int:
        """Looks up the position of one image; see `index`."""
        try:
            return self._positions[image_id]
        except KeyError:
            raise UserError(
                f"image '{image_id}' has no region features among the {len(self)} images in {self.folder}; convert "
                "its features, or choose other examples"
            ) from None

    def box_counts(self, positions: Positions) -> np.ndarray:
        """Returns the number of boxes of each image, without reading features.

        Args:
            positions: (N,) positions of images.

        Returns:
            (N,) int64.
        """
        return self._counts[np.asarray(positions, dtype=np.int64)]

    def gather(self, positions: Positions, layout: RegionLayout = RegionLayout()) -> dict[str, Tensor]:
        """Returns the regions of some images as a model reads them; see `RegionStore.gather`."""
        positions = np.asarray(positions, dtype=np.int64)
        return gather_regions([StoreRows(self, np.arange(len(positions)), positions)], layout)

    def features(self, position: int) -> np.ndarray:
        """Returns an image's features as stored, (1 + boxes, feature_size): the mean of all, then each box's."""
        offset = self._offsets[position]
        return self._features[offset : offset + 1 + self._counts[position]].numpy()

    def boxes(self, position: int) -> np.ndarray:
        """Returns an image's boxes, (boxes, 4) float32: x1 y1 x2 y2 in pixels."""
        first = self._first_boxes[position]
        return self._boxes[first : first + self._counts[position]]

    def size(self, position: int) -> tuple[float, float]:
        """Returns an image's width and height in pixels."""
        width, height = self._sizes[position].tolist()
        return width, height

    def objects(self) -> StoredObjects | None:
        """Reads what a detector took the regions for.

        Returns:
            The objects; None if no detector has made the store.

        Raises:
            UserError: The file of the objects is missing or damaged.
        """
        path = self.folder / OBJECTS_FILE
        return None if self.metadata.objects is None else StoredObjects(path, self.ids, self._counts)

    def digests(self) -> list[bytes]:
        """Reads the checksums of all images' regions that were taken at conversion; see `image_digest`.

        Raises:
            UserError: The column of checksums is missing or damaged.
        """
        path = self.folder / INDEX_FILE
        digests = read_index_columns(path, ["digest"])["digest"].to_pylist()
        if len(digests) != len(self):
            raise UserError(
                f"{path}: found {len(digests)} digests, expected {len(self)}; copy or convert the store again"
            )
        return digests


class StoreRows(NamedTuple):
    """Holds the rows of a batch whose images are in one store.

    Attributes:
        store: The store.
        rows: (n,) int64, the rows of the batch.
        positions: (n,) int64, the position in the store of each row's image.
    """

    store: MappedRegions
    rows: np.ndarray
    positions: np.ndarray


def count_boxes(by_store: Sequence[StoreRows]) -> np.ndarray:
    """Returns the number of boxes of each row of a batch, (N,) int64, without reading features.

    Args:
        by_store: The N rows of the batch, by store.
    """
    counts = np.empty(sum(len(part.rows) for part in by_store), dtype=np.int64)
    for store, rows, positions in by_store:
        counts[rows] = store.box_counts(positions)
    return counts


def _dtype_of(by_store: Sequence[StoreRows]) -> torch.dtype:
    """Return the widest dtype that the stores of a batch have."""
    return max((part.store._features.dtype for part in by_store), key=lambda dtype: dtype.itemsize)


def gather_regions(by_store: Sequence[StoreRows], layout: RegionLayout) -> dict[str, Tensor]:
    """Reads the regions of a batch whose images may be in several stores.

    Args:
        by_store: The N rows of the batch, by store.
        layout: How the model reads regions.

    Returns:
        What `apply_layout` returns, padded to the largest number of regions in the batch.
    """
    mean_rows = int(layout.global_region)  # the rows before an image's boxes that are read: its mean, or nothing
    counts = count_boxes(by_store)
    if layout.max_regions is not None:
        counts = np.minimum(counts, layout.max_regions - mean_rows)
    mask = np.arange(counts.max()) < counts[:, None]
    shape = (len(mask), mean_rows + mask.shape[1], by_store[0].store.feature_size)
    features = torch.empty(shape, dtype=_dtype_of(by_store) if layout.as_stored else torch.float32)
    boxes, sizes = np.zeros((*mask.shape, 4), dtype=np.float32), np.empty((len(mask), 2), dtype=np.float32)
    images = features.unbind()
    with single_loop_thread():
        for store, rows, positions in by_store:
            sizes[rows] = store._sizes[positions]
            for row, offset, first, count in zip(
                rows.tolist(),
                (store._offsets[positions] + 1 - mean_rows).tolist(),
                store._first_boxes[positions].tolist(),
                counts[rows].tolist(),
                strict=True,
            ):
                # Copying a view converts the numbers on the way from the map to the batch; indexing would make a copy
                # in between.
                size = mean_rows + count
                images[row].narrow(0, 0, size).copy_(store._features.narrow(0, offset, size))
                boxes[row, :count] = store._boxes[first : first + count]
    if not mask.all():
        features[:, mean_rows:][torch.from_numpy(~mask)] = 0
    return apply_layout(
        features, torch.from_numpy(boxes), torch.from_numpy(sizes), torch.from_numpy(mask).long(), layout
    )
