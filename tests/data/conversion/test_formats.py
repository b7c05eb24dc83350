"""The formats of sources: detection, reading, and paths that are no source."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iglue_plugins.data.conversion.converter import convert
from iglue_plugins.data.conversion.formats import detect_format, open_source
from iglue_plugins.data.conversion.images import image_id
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.utils.errors import UserError


def test_all_formats_are_read_alike(any_format: str, write_source: Callable, items: Callable, store: Path) -> None:
    source = write_source(any_format, items(6))
    assert detect_format(source) == any_format.split()[0]
    metadata, is_new = convert([source], store, dtype="float32")
    regions = MappedRegions(store)
    assert is_new
    assert (metadata.images, metadata.boxes, metadata.feature_size) == (6, 16, 4)
    assert (metadata.left_out, metadata.noted) == ({}, {})
    for name, image in items(6).items():
        (position,) = regions.index([name])
        np.testing.assert_array_equal(regions.features(position)[1:], image["features"])
        np.testing.assert_array_equal(regions.boxes(position), image["boxes"])
        assert regions.size(position) == (image["img_w"], image["img_h"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("COCO_val2014_000000000042.jpg", "COCO_val2014_000000000042"),
        ("dev-850-0-img0.png", "dev-850-0-img0"),
        ("val2014/39-n-5.JPEG", "39-n-5"),
        ("image.v2", "image.v2"),
    ],
)
def test_an_id_is_the_name_without_folder_and_suffix(name: str, expected: str) -> None:
    assert image_id(name, "a file") == expected


@pytest.mark.parametrize("name", ["", "x/.jpg"])
def test_a_name_that_leaves_no_id_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="^a file: ") as error:
        image_id(name, "a file")
    assert repr(name) in str(error.value)


def test_suffixes_of_names_are_dropped(any_format: str, write_source: Callable, items: Callable, store: Path) -> None:
    images = {f"{name}.jpg": image for name, image in items(2).items()}
    convert([write_source(any_format, images)], store)
    assert MappedRegions(store).ids == ["0", "1"]


def test_npy_files_are_found_in_subfolders(
    write_source: Callable, items: Callable, tmp_path: Path, store: Path
) -> None:
    source = tmp_path / "features"
    source.mkdir()
    write_source("npy", items(2), "a").rename(source / "a")
    write_source("npy", items(2, start=2), "b").rename(source / "b")
    convert([source], store)
    assert MappedRegions(store).ids == ["0", "1", "2", "3"]


def test_array_types_and_memory_orders_do_not_matter(write_source: Callable, items: Callable, tmp_path: Path) -> None:
    images = items(6)
    others = {
        name: image
        | {
            "features": np.asfortranarray(image["features"], dtype=">f8"),
            "boxes": np.asfortranarray(image["boxes"]),
            "img_w": np.int64(image["img_w"]),
        }
        for name, image in images.items()
    }
    made = [
        convert([write_source("lmdb", changed, name)], tmp_path / name)[0]
        for name, changed in (("plain", images), ("other", others))
    ]
    assert made[0].fingerprint == made[1].fingerprint


def test_an_lmdb_may_be_a_single_file(write_source: Callable, items: Callable, tmp_path: Path, store: Path) -> None:
    file = shutil.copy(write_source("lmdb", items(2)) / "data.mdb", tmp_path / "alone.mdb")
    assert detect_format(file) == "lmdb"
    convert([file], store)
    assert MappedRegions(store).ids == ["0", "1"]


def test_a_byte_order_mark_of_a_tsv_is_no_part_of_an_id(write_source: Callable, items: Callable, store: Path) -> None:
    source = write_source("tsv", items(2))
    source.write_bytes(b"\xef\xbb\xbf" + source.read_bytes())
    convert([source], store)
    assert MappedRegions(store).ids == ["0", "1"]


def test_an_image_may_be_named_as_companions_are(write_source: Callable, items: Callable, store: Path) -> None:
    source = write_source("npy", items(2))
    for end in ("", "_info"):
        (source / f"1{end}.npy").rename(source / f"tourist_info{end}.npy")
    convert([source], store)
    assert MappedRegions(store).ids == ["0", "tourist_info"]


def test_blank_lines_of_a_tsv_are_skipped(write_source: Callable, items: Callable, store: Path) -> None:
    source = write_source("tsv", items(2))
    source.write_text(source.read_text().replace("\n", "\r\n\n"))
    convert([source], store)
    assert MappedRegions(store).ids == ["0", "1"]


def test_a_source_can_be_read_from_any_image(any_format: str, write_source: Callable, items: Callable) -> None:
    source = open_source(write_source(any_format, items(5)))
    names = [image.id for image in source.read(0)]
    assert names == ["0", "1", "2", "3", "4"]
    assert [image.id for image in source.read(3)] == names[3:]
    assert not list(source.read(5))


# Paths that are no source


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("missing", lambda path: None, "does not exist; name an H5 file"),
        ("text.txt", lambda path: path.write_text("a\tb\n"), "is a file in none of the known formats"),
        ("empty", Path.touch, "is a file in none of the known formats"),
        ("folder", Path.mkdir, "is a folder without data.mdb and .npy files"),
    ],
)
def test_a_path_that_is_no_source_is_refused(
    name: str, make: Callable[[Path], Any], message: str, tmp_path: Path, store: Path, source_error: Callable
) -> None:
    make(tmp_path / name)
    assert source_error(tmp_path / name, store).startswith(f"{tmp_path / name}: {message}")
    assert not store.exists()


@pytest.mark.parametrize(
    ("format", "message"),
    [
        ("h6", "--format: found 'h6'; did you mean 'h5'?"),
        ("h5", "{source}: cannot be read as H5 ("),
        ("lmdb", "{source}: cannot be read as an LMDB ("),
        ("npy", "{source}: holds no images"),
    ],
)
def test_a_format_that_does_not_fit_the_file_is_refused(
    format: str, message: str, write_source: Callable, items: Callable, store: Path, source_error: Callable
) -> None:
    source = write_source("tsv", items(2))
    assert source_error(source, store, format=format).startswith(message.format(source=source))


def test_a_file_that_cannot_be_read_is_named(
    write_source: Callable, items: Callable, store: Path, source_error: Callable
) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    source = write_source("tsv", items(1))
    source.chmod(0)
    assert source_error(source, store).startswith(f"{source}: cannot be read (Permission denied)")


@pytest.mark.parametrize("format", ["h5", "lmdb"])
def test_a_source_without_images_is_refused(
    format: str, write_source: Callable, store: Path, source_error: Callable
) -> None:
    source = write_source(format, {})
    assert source_error(source, store).startswith(f"{source}: holds no images")
