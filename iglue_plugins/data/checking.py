"""Checks of the images that a task needs: which lack region features or pictures, and what is damaged."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from iglue_plugins.data.pictures.source import PictureSource
from iglue_plugins.data.regions import RegionStore
from iglue_plugins.data.stores.format import image_digest
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.data.stores.objects import OBJECTS_FILE
from iglue_plugins.data.stores.region_stores import RegionStores
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import content_hash
from iglue_plugins.utils.progress import progress_bar

MAX_NAMED_IMAGES = 5


@dataclass(frozen=True)
class ImageCheck:
    """Says how many images of a split belong to a store, and which of them lack features; as text, in one line.

    Attributes:
        store: The name of the store, or '' if the task has a single store.
        images: The number of images.
        missing: The ids of the images that are missing.
        missing_store: Why the store cannot be opened, or None if it can.
        lacks: What the missing images do not have.
    """

    store: str
    images: int
    missing: tuple[str, ...]
    missing_store: str | None = None
    lacks: str = "features"

    def __str__(self) -> str:
        count = f"{self.store or 'images'}: {self.images} images"
        if self.missing_store:
            return f"{count}, none has {self.lacks}: {self.missing_store}"
        if self.missing:
            return f"{count}, {describe_images(self.missing)} without {self.lacks}"
        return f"{count}, all have {self.lacks}"


def check_images(image_ids: Collection[str], regions: RegionStore) -> list[ImageCheck]:
    """Finds out which images have region features.

    Args:
        image_ids: The ids of the images; an id that occurs several times counts once.
        regions: The store, or the stores, that should hold their features.

    Returns:
        A check for each store.
    """
    by_store: dict[str, list[str]] = {}
    for image_id in dict.fromkeys(image_ids):
        name = image_id.partition("/")[0] if isinstance(regions, RegionStores) else ""
        by_store.setdefault(name, []).append(image_id)
    return [_check_store_images(name, ids, regions) for name, ids in by_store.items()]


def check_pictures(image_ids: Collection[str], pictures: PictureSource) -> list[ImageCheck]:
    """Finds out which images have pictures; none is read.

    Args:
        image_ids: The ids of the images; an id that occurs several times counts once.
        pictures: Where the pictures should be.

    Returns:
        A check for each store, the part of the ids before the first slash.
    """
    by_store: dict[str, list[str]] = {}
    for image_id in dict.fromkeys(image_ids):
        store, slash, _ = image_id.partition("/")
        by_store.setdefault(store if slash else "", []).append(image_id)
    return [_check_store_pictures(name, ids, pictures) for name, ids in by_store.items()]


def _check_store_pictures(name: str, image_ids: list[str], pictures: PictureSource) -> ImageCheck:
    missing: list[str] = []
    problems: list[str] = []
    for image_id in image_ids:
        try:
            found = pictures.has(image_id)
        except UserError as error:
            found = False
            problems.append(str(error))
        if not found:
            missing.append(image_id)
    # A folder that cannot be listed concerns all images; two files for one image concern that image.
    why = problems[0] if problems and len(problems) == len(image_ids) else None
    return ImageCheck(name, len(image_ids), tuple(missing), why, "pictures")


def damaged_pictures(image_ids: Collection[str], pictures: PictureSource) -> list[str]:
    """Finds pictures that cannot be read; decodes all of them.

    Args:
        image_ids: The ids of the images; an id that occurs several times counts once.
        pictures: Where the pictures are; images without one are passed over.

    Returns:
        A sentence for each picture that is damaged, or of which there are several.
    """
    sentences: list[str] = []
    for image_id in progress_bar(iterable=[*dict.fromkeys(image_ids)], desc="check pictures", unit=" pictures"):
        try:
            if pictures.has(image_id):
                pictures.picture(image_id)
        except UserError as error:
            sentences.append(str(error))
    return [*dict.fromkeys(sentences)]


def _check_store_images(name: str, image_ids: list[str], regions: RegionStore) -> ImageCheck:
    if isinstance(regions, RegionStores):
        try:
            regions.store(name)
        except UserError as error:
            return ImageCheck(name, len(image_ids), tuple(image_ids), str(error))
    missing = tuple(image_id for image_id in image_ids if not _has_features(regions, image_id))
    return ImageCheck(name, len(image_ids), missing)


def _has_features(regions: RegionStore, image_id: str) -> bool:
    try:
        regions.index([image_id])
    except UserError:
        return False
    return True


def check_store(folder: Path) -> list[str]:
    """Finds damage in a store; reads all of its features.

    Args:
        folder: The folder of the store.

    Returns:
        A sentence for each kind of damage: a store that cannot be opened, images whose regions are not those that were
        converted, whose features are not finite numbers, or with boxes of no area, and a file of objects that is not
        that of the store.
    """
    try:
        store = MappedRegions(folder)
        digests = store.digests()
    except UserError as error:
        return [str(error)]
    damaged: dict[str, list[str]] = {
        "regions other than those that were converted": [],
        "features that are not finite numbers": [],
        "boxes of no area": [],
    }
    for position in progress_bar(iterable=range(len(store)), desc=f"check {folder.name}", unit=" images"):
        features, boxes, size = store.features(position), store.boxes(position), store.size(position)
        is_damaged = (
            image_digest(features, boxes, *size) != digests[position],
            not np.isfinite(features).all(),
            (boxes[:, 2:] <= boxes[:, :2]).any(),
        )
        for images, damage in zip(damaged.values(), is_damaged, strict=True):
            if damage:
                images.append(store.ids[position])
    sentences = [f"{folder}: {describe_images(images)} with {damage}" for damage, images in damaged.items() if images]
    return sentences + _check_objects(store)


def _check_objects(store: MappedRegions) -> list[str]:
    """Finds damage in the file that says what the regions are; a store without one is whole."""
    path = store.folder / OBJECTS_FILE
    try:
        if store.objects() is None or content_hash(path) == store.metadata.objects:
            return []
    except UserError as error:
        return [str(error)]
    return [f"{path}: is not the file that was written with the store; copy or make the store again"]


def describe_images(images: Collection[str]) -> str:
    """Returns the number of some images and the names of the first few, such as '2 images (a, b)'."""
    named = ", ".join([*images][:MAX_NAMED_IMAGES]) + ", ..." * (len(images) > MAX_NAMED_IMAGES)
    return f"{len(images)} image{'s' * (len(images) > 1)} ({named})"
