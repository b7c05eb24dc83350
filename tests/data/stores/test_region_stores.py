"""Several stores used as one, with the store's name as the prefix of an image's id."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from iglue_plugins.data.regions import RegionLayout
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.data.stores.region_stores import RegionStores
from iglue_plugins.utils.errors import UserError


@pytest.fixture
def folder(random_images: Callable, write_store: Callable, tmp_path: Path) -> Path:
    write_store(tmp_path / "regions" / "flickr30k", random_images(3))
    write_store(tmp_path / "regions" / "marvl-id", random_images(5, "39-n-"), "float16")
    return tmp_path / "regions"


def test_an_image_is_found_by_store_and_name(folder: Path) -> None:
    stores, flickr30k = RegionStores(folder), MappedRegions(folder / "flickr30k")
    found = stores.gather(stores.index(["flickr30k/2", "flickr30k/0"]), RegionLayout(False, 7))
    expected = flickr30k.gather(flickr30k.index(["2", "0"]), RegionLayout(False, 7))
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value)


@pytest.mark.parametrize("layout", [RegionLayout(), RegionLayout(False, 7), RegionLayout(max_regions=2)], ids=str)
def test_a_batch_may_come_from_several_stores(layout: RegionLayout, folder: Path) -> None:
    stores = RegionStores(folder)
    names = ["marvl-id/39-n-1", "flickr30k/1", "marvl-id/39-n-3", "flickr30k/0", "marvl-id/39-n-1"]
    batch = stores.gather(stores.index(names), layout)
    boxes = [
        len(stores.store(name).boxes(stores.store(name).position(image)))
        for name, image in (id_.split("/") for id_ in names)
    ]
    assert stores.box_counts(stores.index(names)).tolist() == boxes and len(set(boxes)) > 1
    for row, name in enumerate(names):
        alone = stores.gather(stores.index([name]), layout)
        kept = alone["region_mask"].shape[1]
        for key, value in alone.items():
            torch.testing.assert_close(batch[key][row, :kept], value[0])
            assert not batch[key][row, kept:].any()  # padding


def test_positions_stay_valid_while_stores_are_opened(folder: Path) -> None:
    stores = RegionStores(folder)
    first = stores.index(["marvl-id/39-n-3"])
    before = stores.gather(first)["region_features"]
    later = stores.index(["flickr30k/1", "marvl-id/39-n-3"])
    assert first.dtype == later.dtype == stores.index([]).dtype == np.int64
    assert later[1] == first[0] != later[0]
    torch.testing.assert_close(stores.gather(first)["region_features"], before)


def test_positions_are_valid_in_another_process(folder: Path) -> None:
    stores = RegionStores(folder)
    positions = stores.index(["marvl-id/39-n-3", "flickr30k/1"])
    other = pickle.loads(pickle.dumps(stores))
    torch.testing.assert_close(other.gather(positions)["region_features"], stores.gather(positions)["region_features"])


def test_a_store_is_opened_at_its_first_image(folder: Path) -> None:
    stores = RegionStores(folder)
    stores.index(["flickr30k/1"])
    with pytest.raises(UserError) as error:
        stores.index(["flickr30k/1", "gqa/n161313"])
    message = str(error.value)
    assert message.startswith(f"{folder / 'gqa'}: holds no store of region features")
    assert f"`iglue data convert SOURCE {folder / 'gqa'}`" in message
    assert stores.store("flickr30k") is stores.store("flickr30k")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("flickr30k/x", "image 'x' has no region features among the 3 images in {folder}/flickr30k"),
        ("1007129816", "image id '1007129816' names no store; write STORE/IMAGE with a store in {folder}"),
    ],
)
def test_an_unknown_image_is_named(image: str, message: str, folder: Path) -> None:
    with pytest.raises(UserError) as error:
        RegionStores(folder).index(["flickr30k/1", image])
    assert str(error.value).startswith(message.format(folder=folder))


def test_all_stores_have_one_feature_size(
    folder: Path, random_images: Callable, write_store: Callable, tmp_path: Path
) -> None:
    assert RegionStores(folder).feature_size == 5
    write_store(folder / "xgqa", random_images(1, feature_size=3))
    stores = RegionStores(folder)
    stores.index(["flickr30k/0"])
    with pytest.raises(UserError) as error:
        stores.index(["xgqa/0"])
    assert str(error.value).startswith(f"{folder / 'xgqa'}: the features have size 3, but 5 in ")
    assert stores.feature_size == 5
    with pytest.raises(UserError, match="no store of region features"):
        _ = RegionStores(tmp_path / "none").feature_size
