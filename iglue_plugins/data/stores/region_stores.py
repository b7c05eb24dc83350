"""The region stores in a folder, used as one store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from iglue_plugins.data.regions import Positions, RegionLayout
from iglue_plugins.data.stores.format import METADATA_FILE
from iglue_plugins.data.stores.mapped_regions import MappedRegions, StoreRows, count_boxes, gather_regions
from iglue_plugins.utils.errors import UserError


class RegionStores:
    """Uses the region stores in a folder as one store.

    Image `flickr30k/1007129816` is image `1007129816` of the store `flickr30k`, which is the folder of this name.

    A store is opened when one of its images is asked for. A position holds the number of the store, in the order of
    opening, and the position in that store. It stays valid while more stores are opened, and in other processes that
    are given this object.

    Args:
        folder: The folder that holds the folders of the stores.

    Attributes:
        folder: As the argument.
    """

    _STRIDE = 2**40

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._numbers: dict[str, int] = {}
        self._stores: list[MappedRegions] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return _open_stores, (self.folder, list(self._numbers))

    @property
    def feature_size(self) -> int:
        """Returns the number of features of a region, which is the same in all stores.

        Raises:
            UserError: The folder holds no store.
        """
        if not self._stores:
            finished = sorted(path.parent.name for path in self.folder.glob(f"*/{METADATA_FILE}"))
            if not finished:
                raise UserError(
                    f"{self.folder}: holds no store of region features; make one with "
                    f"`iglue data convert SOURCE {self.folder}/STORE`"
                )
            self.store(finished[0])
        return self._stores[0].feature_size

    def store(self, name: str) -> MappedRegions:
        """Returns a store, which is opened at the first call.

        Args:
            name: The name of the store's folder.

        Raises:
            UserError: There is no such store, it is damaged, or its features are of another size than those of the
                stores that are open.
        """
        if name not in self._numbers:
            store = MappedRegions(self.folder / name)
            for other in self._stores[:1]:
                if store.feature_size != other.feature_size:
                    raise UserError(
                        f"{store.folder}: the features have size {store.feature_size}, but {other.feature_size} in "
                        f"{other.folder}; convert all stores from features of one size"
                    )
            self._numbers[name] = len(self._stores)
            self._stores.append(store)
        return self._stores[self._numbers[name]]

    def index(self, image_ids: Iterable[str]) -> np.ndarray:
        """Looks up the positions of images.

        Args:
            image_ids: The ids of N images, each `<store>/<image>`.

        Returns:
            (N,) int64.

        Raises:
            UserError: An id names no store, an image has no features, or a store cannot be opened (see `store`).
        """
        return np.asarray([self._position(image_id) for image_id in image_ids], dtype=np.int64)

    def _position(self, image_id: str) -> int:
        """Looks up the position of one image; opens its store if need be."""
        name, slash, image = image_id.partition("/")
        if not slash:
            raise UserError(f"image id '{image_id}' names no store; write STORE/IMAGE with a store in {self.folder}")
        position = self.store(name).position(image)
        return self._numbers[name] * self._STRIDE + position

    def box_counts(self, positions: Positions) -> np.ndarray:
        """Returns the number of boxes of each image, without reading features.

        Args:
            positions: (N,) positions of images.

        Returns:
            (N,) int64.
        """
        return count_boxes(self._by_store(positions))

    def gather(self, positions: Positions, layout: RegionLayout = RegionLayout()) -> dict[str, Tensor]:
        """Returns the regions of some images as a model reads them; see `RegionStore.gather`."""
        return gather_regions(self._by_store(positions), layout)

    def _by_store(self, positions: Positions) -> list[StoreRows]:
        """Groups the rows of a batch by the store of their image."""
        numbers, local = np.divmod(np.asarray(positions, dtype=np.int64), self._STRIDE)
        rows_by_number = [(number, np.flatnonzero(numbers == number)) for number in np.unique(numbers)]
        return [StoreRows(self._stores[number], rows, local[rows]) for number, rows in rows_by_number]


def _open_stores(folder: Path, names: Sequence[str]) -> RegionStores:
    """Opens stores in the order in which they were open before pickling, so that positions stay valid."""
    stores = RegionStores(folder)
    for name in names:
        stores.store(name)
    return stores
