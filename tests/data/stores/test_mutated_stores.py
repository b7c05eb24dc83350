"""Stores with mutated files: refused in a line, or read whole; and the check of a store names what has changed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import json_text, mutated_bytes, mutated_value, read_or_refuse, scratch_folder

from iglue_plugins.data.checking import check_store
from iglue_plugins.data.conversion.destination import ConversionSettings
from iglue_plugins.data.conversion.images import make_image
from iglue_plugins.data.conversion.store_writer import StoreWriter
from iglue_plugins.data.stores.format import INDEX_SCHEMA, SourceIdentity, read_metadata
from iglue_plugins.data.stores.mapped_regions import MappedRegions

IMAGES = 5


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A store of five images of one to five boxes."""
    folder = tmp_path / "whole"
    (folder / "unfinished").mkdir(parents=True)
    settings = ConversionSettings(dtype="float16", sources=(SourceIdentity(name="a", size=1),))
    rng = np.random.default_rng(0)
    with StoreWriter(folder, settings) as writer:
        for number in range(IMAGES):
            features, boxes = rng.random((number + 1, 4)), np.tile([1.0, 2.0, 30.0, 40.0], (number + 1, 1))
            fields = {"features": features, "boxes": boxes, "img_w": 50, "img_h": 60}
            writer.add(0, make_image(str(number), fields, "here"))
        writer.finish()
    return folder


@contextlib.contextmanager
def copy_of(store: Path, parent: Path) -> Iterator[Path]:
    with scratch_folder(parent) as folder:
        yield Path(shutil.copytree(store, folder / "store"))


def read_all(folder: Path) -> tuple[int, list[str]]:
    """Reads all that a store holds and checks it."""
    store = MappedRegions(folder)
    positions = store.index(store.ids)
    gathered = store.gather(positions)
    assert gathered["region_features"].shape[0] == len(store)
    for position in positions:
        assert len(store.features(position)) == 1 + len(store.boxes(position))
    return len(store), check_store(folder)


@pytest.mark.parametrize("name", ["index.parquet", "store.json", "features.bin"])
@given(data=st.data())
def test_mutated_bytes(name: str, data: st.DataObject, whole: Path, tmp_path: Path) -> None:
    changed = data.draw(mutated_bytes((whole / name).read_bytes()))
    with copy_of(whole, tmp_path) as folder:
        (folder / name).write_bytes(changed)
        found = read_or_refuse(lambda: read_all(folder))
    if found is not None:
        assert found[0] == IMAGES
        assert found[1] or name != "features.bin" or changed == (whole / name).read_bytes()


COLUMNS = {
    "id": ["", "0", "a\nb", None],
    "offset": [0, -1, 2**62, None],
    "num_boxes": [0, -1, 2**31 - 1, None],
    "boxes": [[], [1.0], [float("nan")] * 4, None],
    "width": [0, -1, None],
}


@pytest.mark.parametrize("column", COLUMNS)
@given(data=st.data())
def test_a_mutated_row_of_the_index(column: str, data: st.DataObject, whole: Path, tmp_path: Path) -> None:
    rows = pq.read_table(whole / "index.parquet").to_pylist()
    edit = data.draw(st.sampled_from(["change", "swap", "repeat", "delete", "rename", "type"]))
    number = data.draw(st.integers(0, IMAGES - 1))
    other = data.draw(st.integers(0, IMAGES - 1))
    if edit == "change":
        rows[number][column] = data.draw(st.sampled_from(COLUMNS[column]))
    elif edit == "swap":
        rows[number][column], rows[other][column] = rows[other][column], rows[number][column]
    elif edit == "repeat":
        rows[number] = dict(rows[other])
    elif edit == "delete":
        del rows[number]
    table = pa.Table.from_pylist(rows, INDEX_SCHEMA)
    if edit == "rename":
        table = table.rename_columns([f"{name}s" if name == column else name for name in table.column_names])
    elif edit == "type":
        position = table.column_names.index(column)
        table = table.set_column(position, column, pa.array([None] * IMAGES, pa.int8()))
    with copy_of(whole, tmp_path) as folder:
        pq.write_table(table, folder / "index.parquet")
        found = read_or_refuse(lambda: read_all(folder))
    assert found is None or found[0] == IMAGES


@given(data=st.data())
def test_a_mutated_value_of_the_metadata(data: st.DataObject, whole: Path, tmp_path: Path) -> None:
    metadata = read_metadata(whole).model_dump(mode="json")
    changed = data.draw(mutated_value(metadata).flatmap(json_text))
    with copy_of(whole, tmp_path) as folder:
        (folder / "store.json").write_bytes(changed)
        found = read_or_refuse(lambda: read_all(folder))
    assert found is None or found[0] == IMAGES
