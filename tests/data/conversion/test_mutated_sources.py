"""Sources of each format with mutations: refused in a line, or converted without dropping an image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from hypothesis import given, reject
from hypothesis import strategies as st
from mutations import ODD_VALUES, mutated_bytes, nested, read_or_refuse, scratch_folder

from iglue_plugins.data.conversion.converter import convert
from iglue_plugins.data.conversion.images import DUPLICATE
from iglue_plugins.data.stores.format import StoreMetadata
from iglue_plugins.data.stores.mapped_regions import MappedRegions

IMAGES = 5
ODD_FIELDS = [
    *ODD_VALUES,
    *(np.zeros((0, 4)), np.zeros(3), np.zeros((1, 2, 4)), np.full((2, 4), np.nan), np.full((2, 4), 1e300)),
    *(np.asarray(["a"]), np.asarray([b"1"]), np.asarray([1 + 2j]), np.asarray([True] * 4), np.asarray([10**400])),
    *(np.asarray({"a": 1}), np.asarray([None] * 4), np.float16(3), np.int64(-5), "AAAA", b"AAAA", "640", b"\xff"),
    *([[1, 2], [3]], [[10**400]], ["1", "2", "3", "4"], [nested(90)], [[[0.0] * 4] * 2] * 2, {"a": nested(90)}),
]


def convert_or_refuse(source: Path, store: Path, format: str) -> StoreMetadata | None:
    return read_or_refuse(lambda: convert([source], store, format.split()[0])[0])


def images_read(metadata: StoreMetadata) -> int:
    return metadata.images + sum(map(len, metadata.left_out.values())) + metadata.noted.get(DUPLICATE, 0)


def images_in(source: Path, format: str) -> int:
    """Counts the images of a mutated source without this package's readers."""
    if format == "tsv":
        return sum(bool(line.strip()) for line in source.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"))
    if format == "h5":
        with h5py.File(source) as file:
            return len(file)
    return IMAGES


@given(data=st.data())
def test_mutated_bytes(
    any_format: str, data: st.DataObject, write_source: Callable, items: Callable, tmp_path: Path
) -> None:
    with scratch_folder(tmp_path) as folder:
        source = file = write_source(any_format, items(IMAGES), f"{folder.name}/source")
        if source.is_dir():
            names = sorted(path.name for path in source.iterdir() if path.name != "lock.mdb")
            file = source / data.draw(st.sampled_from(names))
        file.write_bytes(data.draw(_edits(any_format, file.read_bytes())))
        metadata = convert_or_refuse(source, folder / "store", any_format)
        if metadata is not None:
            assert images_read(metadata) == images_in(source, any_format)
            assert len(MappedRegions(folder / "store")) == metadata.images


def _edits(format: str, content: bytes) -> st.SearchStrategy[bytes]:
    """Edits anywhere; in an LMDB also in the headers of its pages, by which LMDB finds its way."""
    if not format.startswith("lmdb"):
        return mutated_bytes(content)

    def edit(page: int, offset: int, value: int) -> bytes:
        at = page * 4096 + offset
        return content[:at] + bytes([value]) + content[at + 1 :]

    pages = st.integers(0, len(content) // 4096 - 1)
    headers = st.builds(edit, pages, st.integers(8, 130), st.integers(0, 255))
    return st.one_of(mutated_bytes(content), headers, headers)


@given(data=st.data())
def test_a_mutated_field_leaves_the_other_images(
    any_format: str, data: st.DataObject, write_source: Callable, items: Callable, tmp_path: Path
) -> None:
    images = items(IMAGES)
    number, field = data.draw(st.sampled_from(sorted(images))), data.draw(st.sampled_from(sorted(images["0"])))
    changed = dict(images[number])
    if data.draw(st.booleans()):
        changed[field] = data.draw(st.sampled_from(ODD_FIELDS))
    else:
        other = data.draw(st.sampled_from(sorted(changed)))
        changed[field], changed[other] = changed[other], changed[field]
    with scratch_folder(tmp_path) as folder:
        try:
            source = write_source(any_format, images | {number: changed}, f"{folder.name}/source")
        except Exception:  # the format cannot hold such a value
            reject()
        metadata = convert_or_refuse(source, folder / "store", any_format)
        if metadata is not None:
            assert images_read(metadata) == IMAGES
            assert_other_images(MappedRegions(folder / "store"), images, number)


def assert_other_images(store: MappedRegions, images: dict[str, Any], changed: str) -> None:
    for name in images.keys() - {changed}:
        (position,) = store.index([name])
        np.testing.assert_array_equal(store.features(position)[1:], images[name]["features"].astype(np.float16))
        np.testing.assert_array_equal(store.boxes(position), images[name]["boxes"])
