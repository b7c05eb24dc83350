"""What a detector took a store's regions for: words, stores without it, and damaged files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_detector import make_detected_store
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutated_bytes, read_or_refuse

from iglue_plugins.data.checking import check_store
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.data.stores.objects import OBJECTS_FILE, ObjectNames, Objects
from iglue_plugins.utils.errors import UserError


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make_detected_store(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_detected_store(tmp_path_factory.mktemp("whole"))


def test_a_region_in_words() -> None:
    objects = Objects(np.asarray([1, 7]), np.asarray([0.834, 1.0]), np.asarray([0, -1]), np.asarray([0.5, 0.5]))
    names = ObjectNames(("dog", "car"), ("red",))
    assert [names.label(objects, region) for region in (0, 1)] == ["red car 0.83", "attribute -1 class 7 1.00"]
    assert ObjectNames().label(Objects(objects.classes, objects.scores), 0) == "class 1 0.83"


def test_a_store_that_no_detector_has_made(random_images: Callable, write_store: Callable, tmp_path: Path) -> None:
    folder = write_store(tmp_path / "store", random_images(3))
    assert sorted(path.name for path in folder.iterdir()) == ["features.bin", "index.parquet", "store.json"]
    assert '"objects"' not in (folder / "store.json").read_text()
    assert MappedRegions(folder).objects() is None


def refusal(folder: Path) -> str:
    """The sentence of reader and check alike; the regions can be read nevertheless."""
    store = MappedRegions(folder)
    assert len(store.features(0)) == 5
    with pytest.raises(UserError) as error:
        store.objects()
    assert check_store(folder) == [str(error.value)]
    return str(error.value).removeprefix(f"{folder / OBJECTS_FILE}: the file of the store's objects ")


def rewrite(folder: Path, **columns: list | None) -> None:
    table = pq.read_table(folder / OBJECTS_FILE)
    for name, values in columns.items():
        position = table.column_names.index(name)
        if values is None:
            table = table.remove_column(position)
        else:
            table = table.set_column(position, name, pa.array(values))
    pq.write_table(table, folder / OBJECTS_FILE)


def test_damaged_files(store: Path) -> None:
    path = store / OBJECTS_FILE
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert refusal(store).startswith("cannot be read (")
    path.unlink()
    assert refusal(store).startswith("cannot be read (")
    path.write_bytes(content)
    rewrite(store, scores=None)
    assert refusal(store).startswith("cannot be read (")
    path.write_bytes(content)
    rewrite(store, classes=[["north"] * 4] * 3)
    assert refusal(store).startswith("has the columns id: string, classes: list<")
    path.write_bytes(content)
    rewrite(store, id=["0", "1", "3"])
    assert refusal(store) == "is of other images than the store's; copy or make the store again"
    for classes in ([[0, 1, 2, 3], [0], [0, 1, 2, 3]], [[0, 1, 2, 3], None, [0, 1, 2, 3]], [[0, 1, 2, None]] * 3):
        path.write_bytes(content)
        rewrite(store, classes=classes)
        expected = "has a column classes that does not fit the numbers of boxes; copy or make the store again"
        assert refusal(store) == expected
    table = pq.read_table(path.parent.parent / "store" / OBJECTS_FILE)
    for names in (b"[", b'"dog"', b"[1]", b"\xff"):
        path.write_bytes(content)
        table = pq.read_table(path).replace_schema_metadata({b"class_names": names})
        pq.write_table(table, path)
        assert refusal(store).startswith("cannot be read (")


@given(data=st.data())
def test_mutated_bytes(data: st.DataObject, whole: Path) -> None:
    """The check finds them; the reader refuses them in a line, or returns numbers for each box."""
    path = whole / OBJECTS_FILE
    content = path.read_bytes()
    changed = data.draw(mutated_bytes(content))
    try:
        path.write_bytes(changed)
        stored = MappedRegions(whole)
        objects = read_or_refuse(stored.objects)
        assert (check_store(whole) == []) == (changed == content)
        for position in range(len(stored) if objects is not None else 0):
            found = objects.image(position)
            assert len(found.classes) == len(found.scores) == 4
            assert all(objects.names.label(found, region) for region in range(4))
    finally:
        path.write_bytes(content)


def test_the_objects_of_another_store_are_found_by_the_check(store: Path, tmp_path: Path) -> None:
    assert check_store(store) == []
    other = make_detected_store(tmp_path / "other", attributes=False)
    shutil.copyfile(other / OBJECTS_FILE, store / OBJECTS_FILE)
    assert MappedRegions(store).objects() is not None
    assert check_store(store) == [
        f"{store / OBJECTS_FILE}: is not the file that was written with the store; copy or make the store again"
    ]
