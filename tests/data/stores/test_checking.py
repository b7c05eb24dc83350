"""Checks of region features: images without features, and damaged stores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from iglue_plugins.data.checking import check_images, check_store, describe_images
from iglue_plugins.data.regions import InMemoryRegions
from iglue_plugins.data.stores.region_stores import RegionStores


@pytest.fixture
def folder(random_images: Callable, write_store: Callable, tmp_path: Path) -> Path:
    return write_store(tmp_path / "flickr30k", random_images(4, boxes=2), "float16")


def overwrite_row(folder: Path, row: int, values: bytes) -> None:
    """Overwrites the start of a row of five float16 features."""
    content = bytearray((folder / "features.bin").read_bytes())
    content[row * 10 : row * 10 + len(values)] = values
    (folder / "features.bin").write_bytes(content)


def test_an_undamaged_store_has_no_findings(folder: Path) -> None:
    assert check_store(folder) == []


def test_changed_regions_are_found(folder: Path) -> None:
    overwrite_row(folder, 4, b"\x01\x02")  # image 1 has rows 3 to 5
    overwrite_row(folder, 11, b"\x01\x02")
    assert check_store(folder) == [f"{folder}: 2 images (1, 3) with regions other than those that were converted"]


def test_features_that_are_not_finite_are_found(folder: Path) -> None:
    overwrite_row(folder, 7, np.asarray([np.nan], dtype=np.float16).tobytes())
    assert check_store(folder)[1:] == [f"{folder}: 1 image (2) with features that are not finite numbers"]


def test_boxes_of_no_area_are_found(random_images: Callable, write_store: Callable, tmp_path: Path) -> None:
    images = random_images(3, boxes=2)
    for name, side in (("0", 2), ("2", 3)):
        images[name][1][1, side] = images[name][1][1, side - 2]
    folder = write_store(tmp_path / "store", images)
    assert check_store(folder) == [f"{folder}: 2 images (0, 2) with boxes of no area"]


def test_a_store_that_cannot_be_opened_is_a_finding(folder: Path) -> None:
    content = (folder / "features.bin").read_bytes()
    (folder / "features.bin").write_bytes(content[:-1])
    (damage,) = check_store(folder)
    assert damage.startswith(f"{folder / 'features.bin'}: has 119 bytes instead of 120")
    assert "no store of region features" in check_store(folder / "none")[0]


def test_images_are_checked_store_by_store(folder: Path) -> None:
    stores = RegionStores(folder.parent)
    found = check_images(["flickr30k/0", "gqa/n1", "flickr30k/x", "flickr30k/0", "flickr30k/y"], stores)
    assert [(check.store, check.images, check.missing) for check in found] == [
        ("flickr30k", 3, ("flickr30k/x", "flickr30k/y")),
        ("gqa", 1, ("gqa/n1",)),
    ]
    assert str(found[0]) == "flickr30k: 3 images, 2 images (flickr30k/x, flickr30k/y) without features"
    assert str(found[1]).startswith(f"gqa: 1 images, none has features: {folder.parent / 'gqa'}: holds no store")
    (all_there,) = check_images(["flickr30k/0", "flickr30k/3"], stores)
    assert (all_there.missing, str(all_there)) == ((), "flickr30k: 2 images, all have features")


def test_images_of_a_store_in_memory_are_checked() -> None:
    regions = InMemoryRegions(feature_size=1, max_boxes=1)
    regions.add({"a/0": (np.ones((1, 1), dtype=np.float32), np.ones((1, 4), dtype=np.float32))}, 10, 10)
    (found,) = check_images(["a/0", "b/1"], regions)
    assert (found.images, found.missing) == (2, ("b/1",))


def test_a_description_names_the_first_few_images() -> None:
    assert describe_images(["a"]) == "1 image (a)"
    assert describe_images(list("abcdefg")) == "7 images (a, b, c, d, e, ...)"
