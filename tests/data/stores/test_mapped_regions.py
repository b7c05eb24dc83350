"""One store on disk: gathering, look-up, other processes, and folders that hold no store or a damaged one."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from iglue_plugins.data.inputs import Inputs
from iglue_plugins.data.regions import InMemoryRegions, RegionLayout
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.data.stores.region_stores import RegionStores
from iglue_plugins.utils.errors import UserError

LAYOUTS = [
    RegionLayout(global_region, size, most)
    for global_region in (True, False)
    for size in (5, 7)
    for most in (None, 1, 3, 100)
]


@pytest.fixture(scope="module")
def images(random_images: Callable) -> dict[str, tuple]:
    return random_images(7)


@pytest.fixture(scope="module")
def store(write_store: Callable, images: dict[str, tuple], tmp_path_factory: pytest.TempPathFactory) -> MappedRegions:
    return MappedRegions(write_store(tmp_path_factory.mktemp("stores") / "store", images))


def store_in_memory(images: dict[str, tuple]) -> InMemoryRegions:
    regions = InMemoryRegions(feature_size=5, max_boxes=6)
    for name, (features, boxes, width, height) in images.items():
        regions.add({name: (features, boxes)}, width, height)
    return regions


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor], **tolerance: float) -> None:
    assert list(found) == list(expected)
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, **tolerance)  # shape and dtype, too


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("names", [["0"], ["3", "1", "3"], ["5", "0", "6", "2", "1"]])
def test_gather_returns_what_a_store_in_memory_does(
    layout: RegionLayout, names: list[str], store: MappedRegions, images: dict[str, tuple]
) -> None:
    expected = store_in_memory(images)
    assert_equal(store.gather(store.index(names), layout), expected.gather(expected.index(names), layout))


def test_gather_without_padding(random_images: Callable, write_store: Callable, tmp_path: Path) -> None:
    images = random_images(4, boxes=6)
    store, expected = MappedRegions(write_store(tmp_path / "store", images)), store_in_memory(images)
    names = ["2", "0", "3"]
    assert_equal(store.gather(store.index(names)), expected.gather(expected.index(names)))


def test_float16_features_are_close_to_float32(write_store: Callable, images: dict[str, tuple], tmp_path: Path) -> None:
    store, expected = MappedRegions(write_store(tmp_path / "half", images, "float16")), store_in_memory(images)
    found = store.gather(store.index(images))
    assert store.metadata.dtype == "float16"
    assert_equal(found, expected.gather(expected.index(images)), rtol=1e-3, atol=1e-3)
    assert (found["region_features"] != expected.gather(expected.index(images))["region_features"]).any()


@pytest.mark.parametrize("global_region", [True, False])
def test_features_as_stored_become_the_same_float32_where_they_are_moved_to(
    global_region: bool, write_store: Callable, images: dict[str, tuple], tmp_path: Path
) -> None:
    store = MappedRegions(write_store(tmp_path / "half", images, "float16"))
    converted = store.gather(store.index(images), RegionLayout(global_region))
    stored = store.gather(store.index(images), RegionLayout(global_region, as_stored=True))
    assert stored["region_features"].dtype == torch.float16
    assert_equal(dict(Inputs(stored, len(images)).to("cpu")), converted, rtol=0, atol=0)


def test_stores_of_float32_and_float16_make_one_batch_as_stored(
    write_store: Callable, images: dict[str, tuple], tmp_path: Path
) -> None:
    for name in ("float16", "float32"):
        write_store(tmp_path / name, images, name)
    stores = RegionStores(tmp_path)
    positions = stores.index(["float16/0", "float32/1"])
    assert_equal(stores.gather(positions, RegionLayout(as_stored=True)), stores.gather(positions), rtol=0, atol=0)


def test_changing_a_batch_leaves_the_store_unchanged(store: MappedRegions) -> None:
    before = store.gather([0, 1])
    store.gather([0, 1])["region_features"].zero_()
    assert_equal(store.gather([0, 1]), before)


def test_images_are_looked_up_by_id(store: MappedRegions, images: dict[str, tuple]) -> None:
    assert len(store) == 7
    assert store.feature_size == 5
    assert sorted(store.ids) == sorted(images)
    assert "3" in store
    assert "x" not in store
    positions = store.index(iter(store.ids))
    assert positions.tolist() == list(range(7))
    assert positions.dtype == store.index([]).dtype == np.int64
    with pytest.raises(UserError) as error:
        store.index(["3", "x/7"])
    assert str(error.value).startswith(f"image 'x/7' has no region features among the 7 images in {store.folder}")


def test_features_boxes_and_size_of_an_image(store: MappedRegions, images: dict[str, tuple]) -> None:
    features, boxes, width, height = images["3"]
    (position,) = store.index(["3"])
    np.testing.assert_allclose(store.features(position), [features.mean(0), *features], rtol=1e-6)
    np.testing.assert_array_equal(store.boxes(position), boxes)
    assert store.size(position) == (width, height)


def test_a_store_is_pickled_as_its_path(store: MappedRegions) -> None:
    data = pickle.dumps(store)
    assert len(data) < 500
    assert_equal(pickle.loads(data).gather([2, 4]), store.gather([2, 4]))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_store_is_read_in_forked_processes(store: MappedRegions) -> None:
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
        found = list(pool.map(sum_of_features, [(store, [2, 4]), (store, [1])]))
    assert found == [sum_of_features((store, [2, 4])), sum_of_features((store, [1]))]


def sum_of_features(request: tuple[MappedRegions, list[int]]) -> float:
    store, positions = request
    return store.gather(positions)["region_features"].sum().item()


def test_the_fingerprint_depends_on_all_that_is_stored(
    write_store: Callable, images: dict[str, tuple], store: MappedRegions, tmp_path: Path
) -> None:
    def fingerprint(name: str, changed: dict[str, tuple], dtype: str = "float32") -> str:
        return MappedRegions(write_store(tmp_path / name, changed, dtype)).fingerprint()

    features, boxes, width, height = images["3"]
    others = [
        fingerprint("feature", images | {"3": (features + 1e-3, boxes, width, height)}),
        fingerprint("box", images | {"3": (features, boxes + 1e-3, width, height)}),
        fingerprint("width", images | {"3": (features, boxes, width + 1, height)}),
        fingerprint("fewer", {name: image for name, image in images.items() if name != "3"}),
        fingerprint("name", {"x" * (name == "3") + name: image for name, image in images.items()}),
        fingerprint("dtype", images, "float16"),
    ]
    assert len({store.fingerprint(), *others}) == 7
    assert fingerprint("again", images) == store.fingerprint()


@pytest.mark.parametrize("make", [None, "empty", "unfinished"])
def test_a_folder_without_a_finished_store_is_refused(make: str | None, tmp_path: Path) -> None:
    folder = tmp_path / "flickr30k"
    if make:
        (folder / make).mkdir(parents=True)
    with pytest.raises(UserError) as error:
        MappedRegions(folder)
    message = str(error.value)
    assert message.startswith(f"{folder}: ")
    if make == "unfinished":
        assert (
            "the store is unfinished" in message
            and "run the command that makes it (`iglue data convert`, `extract` or" in message
        )
    else:
        assert "no store of region features" in message and f"`iglue data convert SOURCE {folder}`" in message


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def edit_index(**columns: Callable[[list], list]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        table = pq.read_table(path)
        for name, change in columns.items():
            number = table.column_names.index(name)
            field = table.schema.field(name)
            table = table.set_column(number, field, pa.array(change(table[name].to_pylist()), field.type))
        pq.write_table(table, path)

    return edit


def edit_metadata(**values: object) -> Callable[[Path], None]:
    return lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("features.bin", truncate, "has 570 bytes instead of 580"),
        ("features.bin", Path.unlink, "has 0 bytes instead of 580"),
        ("features.bin", lambda path: path.write_bytes(path.read_bytes() + b"x"), "has 581 bytes instead of 580"),
        ("index.parquet", truncate, "the store's index cannot be read"),
        ("index.parquet", Path.unlink, "the store's index cannot be read"),
        ("index.parquet", lambda path: path.write_bytes(b"no Parquet"), "the store's index cannot be read"),
        (
            "index.parquet",
            edit_index(offset=lambda offsets: [*offsets[:-1], 10**6]),
            "the column offset does not fit",
        ),
        (
            "index.parquet",
            edit_index(num_boxes=lambda counts: [*counts[:-1], 10**6]),
            "has 7 images with 1000021 boxes",
        ),
        ("store.json", truncate, "the store's metadata cannot be read"),
        ("store.json", edit_metadata(format=2), "the store's metadata cannot be read"),
        ("store.json", edit_metadata(images=8), None),
        ("store.json", edit_metadata(feature_size=6), None),
    ],
)
def test_a_damaged_store_is_refused(
    file: str, damage: Callable[[Path], None], message: str | None, store: MappedRegions, tmp_path: Path
) -> None:
    folder = shutil.copytree(store.folder, tmp_path / "store")
    damage(folder / file)
    with pytest.raises(UserError, match=r"(copy or )?convert the store again$") as error:
        MappedRegions(folder)
    if message:
        assert str(error.value).startswith(f"{folder / file}: {message}")
