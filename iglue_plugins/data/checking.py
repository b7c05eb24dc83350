"""What is missing or damaged among the region features that a task needs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from iglue_plugins.data.regions import RegionStore
from iglue_plugins.data.stores import MappedRegions, RegionStores, digest
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.progress import progress_bar

NAMED = 5  # images named in a finding


@dataclass(frozen=True)
class ImageCheck:
    """How many images of a split are in a store, and which are not. missing_store: why, when there is no such store."""

    store: str
    images: int
    missing: tuple[str, ...]
    missing_store: str | None = None

    def __str__(self) -> str:
        found = f"{self.store or 'images'}: {self.images} images"
        if self.missing_store:
            return f"{found}, none has features: {self.missing_store}"
        return f"{found}, {listed(self.missing)} without features" if self.missing else f"{found}, all have features"


def check_images(image_ids: Collection[str], stores: RegionStore) -> list[ImageCheck]:
    """Which of these images have features, store by store. Images are counted once each."""
    by_store: dict[str, list[str]] = {}
    for image_id in dict.fromkeys(image_ids):
        name = image_id.partition("/")[0] if isinstance(stores, RegionStores) else ""
        by_store.setdefault(name, []).append(image_id)
    return [_check_images(name, ids, stores) for name, ids in by_store.items()]


def _check_images(name: str, image_ids: list[str], stores: RegionStore) -> ImageCheck:
    if isinstance(stores, RegionStores):
        try:
            stores.store(name)
        except UserError as error:
            return ImageCheck(name, len(image_ids), tuple(image_ids), str(error))
    return ImageCheck(name, len(image_ids), tuple(image_id for image_id in image_ids if not _has(stores, image_id)))


def _has(store: RegionStore, image_id: str) -> bool:
    try:
        store.index([image_id])
    except UserError:
        return False
    return True


def check_store(folder: Path) -> list[str]:
    """What is damaged in a store, a sentence each; all of its features are read.

    That the file is cut short or the index points outside of it; images whose regions are not those converted, whose
    features are not finite numbers, or with boxes of no area.
    """
    try:
        store = MappedRegions(folder)
        digests = store.digests()
    except UserError as error:
        return [str(error)]
    images: dict[str, list[str]] = {
        "regions other than those that were converted": [],
        "features that are not finite numbers": [],
        "boxes of no area": [],
    }
    for position in progress_bar(iterable=range(len(store)), desc=f"check {folder.name}", unit=" images"):
        features, boxes, size = store.features(position), store.boxes(position), store.size(position)
        faults = (
            digest(features, boxes, *size) != digests[position],
            not np.isfinite(features).all(),
            (boxes[:, 2:] <= boxes[:, :2]).any(),
        )
        for found, fault in zip(images.values(), faults):
            if fault:
                found.append(store.ids[position])
    return [f"{folder}: {listed(found)} with {fault}" for fault, found in images.items() if found]


def listed(images: Collection[str]) -> str:
    """'2 images (a, b)'; the first few are named."""
    named = ", ".join([*images][:NAMED]) + ", ..." * (len(images) > NAMED)
    return f"{len(images)} image{'s' * (len(images) > 1)} ({named})"
