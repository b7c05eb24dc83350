"""Each format is told apart and read alike, and what is no whole source of it ends with a sentence."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import lmdb
import numpy as np
import pytest

from iglue_plugins.data.conversion.convert import convert
from iglue_plugins.data.conversion.images import image_id
from iglue_plugins.data.conversion.sources import detect, open_source
from iglue_plugins.data.stores import MappedRegions
from iglue_plugins.utils.errors import UserError


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("made by a pickle",)


def refusal(source: Path, destination: Path, format: str = "auto") -> str:
    with pytest.raises(UserError) as error:
        convert([source], destination, format)
    assert not (destination / "store.json").exists()
    return str(error.value)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def test_all_formats_are_read_alike(any_format: str, write_source: Callable, items: Callable, store: Path) -> None:
    source = write_source(any_format, items(6))
    assert detect(source) == any_format.split()[0]
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
def test_ids_are_names_without_folder_and_suffix(name: str, expected: str) -> None:
    assert image_id(name, "a file") == expected


@pytest.mark.parametrize("name", ["", "x/.jpg"])
def test_an_id_without_a_name(name: str) -> None:
    with pytest.raises(UserError, match=r"^a file: found the image id '.*', expected a name$"):
        image_id(name, "a file")


def test_names_with_a_suffix(any_format: str, write_source: Callable, items: Callable, store: Path) -> None:
    images = {f"{name}.jpg": image for name, image in items(2).items()}
    convert([write_source(any_format, images)], store)
    assert MappedRegions(store).ids == ["0", "1"]


def test_npy_files_in_folders(write_source: Callable, items: Callable, tmp_path: Path, store: Path) -> None:
    source = tmp_path / "features"
    source.mkdir()
    write_source("npy", items(2), "a").rename(source / "a")
    write_source("npy", items(2, start=2), "b").rename(source / "b")
    convert([source], store)
    assert MappedRegions(store).ids == ["0", "1", "2", "3"]


def test_arrays_of_other_types_and_orders(write_source: Callable, items: Callable, tmp_path: Path) -> None:
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


def test_an_lmdb_that_is_one_file(write_source: Callable, items: Callable, tmp_path: Path, store: Path) -> None:
    file = shutil.copy(write_source("lmdb", items(2)) / "data.mdb", tmp_path / "alone.mdb")
    assert detect(file) == "lmdb"
    convert([file], store)
    assert MappedRegions(store).ids == ["0", "1"]


def test_blank_lines_of_a_tsv(write_source: Callable, items: Callable, store: Path) -> None:
    source = write_source("tsv", items(2))
    source.write_text(source.read_text().replace("\n", "\r\n\n"))
    convert([source], store)
    assert MappedRegions(store).ids == ["0", "1"]


# What is none of the formats


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("missing", lambda path: None, "found nothing, expected an H5 file"),
        ("text.txt", lambda path: path.write_text("a\tb\n"), "found a file in none of the known formats, expected"),
        ("empty", Path.touch, "found a file in none of the known formats, expected"),
        ("folder", Path.mkdir, "found a folder without data.mdb and .npy files, expected"),
    ],
)
def test_what_is_no_source(name: str, make: Callable[[Path], Any], message: str, tmp_path: Path, store: Path) -> None:
    make(tmp_path / name)
    assert refusal(tmp_path / name, store).startswith(f"{tmp_path / name}: {message}")
    assert not store.exists()


@pytest.mark.parametrize(
    ("format", "message"),
    [
        ("h6", "--format: found 'h6'; did you mean 'h5'?"),
        ("h5", "{source}: cannot be read as H5 ("),
        ("lmdb", "{source}: cannot be read as an LMDB ("),
        ("npy", "{source}: found no images in it, expected at least one"),
    ],
)
def test_another_format_than_the_file_has(
    format: str, message: str, write_source: Callable, items: Callable, store: Path
) -> None:
    source = write_source("tsv", items(2))
    assert refusal(source, store, format).startswith(message.format(source=source))


def test_a_file_that_cannot_be_read(write_source: Callable, items: Callable, store: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    source = write_source("tsv", items(1))
    source.chmod(0)
    assert refusal(source, store).startswith(f"{source}: cannot be read (Permission denied), expected an H5 file")


@pytest.mark.parametrize("format", ["h5", "lmdb"])
def test_a_source_without_images(format: str, write_source: Callable, store: Path) -> None:
    source = write_source(format, {})
    assert refusal(source, store) == f"{source}: found no images in it, expected at least one"


# Sources that are cut short


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_an_h5_file_cut_short(part: float, write_source: Callable, items: Callable, store: Path) -> None:
    source = write_source("h5", items(30))
    os.truncate(source, int(source.stat().st_size * part))
    assert refusal(source, store).startswith(f"{source}: cannot be read as H5 (")


def test_a_damaged_h5_file_is_read_or_ends_with_a_sentence(
    write_source: Callable, items: Callable, tmp_path: Path
) -> None:
    source = write_source("h5", items(3))
    content = source.read_bytes()
    refused = 0
    for start in range(0, len(content), 1000):
        source.write_bytes(content[:start] + bytes(200) + content[start + 200 :])
        try:
            convert([source], tmp_path / str(start), "h5")
        except UserError:
            refused += 1
    assert refused


@pytest.mark.parametrize("part", [0.3, 0.5, 0.99])
def test_an_lmdb_cut_short(part: float, write_source: Callable, items: Callable, store: Path) -> None:
    source = write_source("lmdb", items(60))
    file = source / "data.mdb"
    os.truncate(file, int(file.stat().st_size * part))
    assert refusal(source, store).startswith(f"{file}: found {file.stat().st_size} bytes, expected at least ")


def test_an_lmdb_that_lacks_images(write_source: Callable, items: Callable, store: Path) -> None:
    source = write_source("lmdb", items(4))
    edit_lmdb(source, lambda transaction: transaction.delete(b"2"))
    assert refusal(source, store) == (
        f"{source}: found 3 images, expected the 4 that its key 'keys' lists; it is cut short"
    )


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (lambda row: row[:2], "found 1 fields, expected 10 (img_id img_h"),
        (lambda row: row.rpartition("\t")[0], "found 9 fields, expected 10 (img_id img_h"),
        (lambda row: row.rpartition("\t")[0] + "\t", "found features (0,) for 2 boxes, expected as many for each"),
        (lambda row: row[:-1], "features: found "),
        (lambda row: row[:-12], "found features of size 3, expected 4 as in the images before it"),
        (lambda row: row.replace("\t2\t", "\t3\t", 1), "found 2 boxes, expected num_boxes 3; it is cut short"),
    ],
)
def test_a_row_of_a_tsv_cut_short(
    cut: Callable[[str], str], message: str, write_source: Callable, items: Callable, store: Path
) -> None:
    source = write_source("tsv", {name: items(20)[name] for name in ("0", "1", "2", "17")})
    first, second, third, last = source.read_text().splitlines()
    source.write_text("\n".join([first, second, third, cut(last)]))
    assert refusal(source, store).startswith(f"{source}: line 4: {message}")


def test_an_npy_file_cut_short(write_source: Callable, items: Callable, store: Path) -> None:
    source = write_source("npy", items(3))
    os.truncate(source / "1.npy", 130)
    assert refusal(source, store).startswith(f"{source / '1.npy'}: found 2 bytes of numbers, expected ")


def test_an_npy_file_without_info_is_left_out(write_source: Callable, items: Callable, store: Path) -> None:
    source = write_source("npy", items(3))
    (source / "1_info.npy").unlink()
    metadata, _ = convert([source], store)
    assert metadata.left_out == {"a .npy without its _info.npy": ("1",)}
    assert MappedRegions(store).ids == ["0", "2"]


# Sources with something else in them


def edit_lmdb(source: Path, edit: Callable[[lmdb.Transaction], Any]) -> None:
    with lmdb.open(str(source), map_size=2**24) as env, env.begin(write=True) as transaction:
        edit(transaction)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (b"1", pickle.dumps(Evil()), "key 1: found a pickle that asks for 'posix.mkdir', which is refused"),
        (b"1", pickle.dumps([1, 2]), "key 1: found a pickled list, expected a dict"),
        (b"1", pickle.dumps({"a": 1})[:-1], "key 1: found a pickle that is damaged or cut short"),
        (
            b"1",
            pickle.dumps({"boxes": 1}),
            "key 1: found the fields ['boxes'], expected features and img_w and img_h too",
        ),
        (b"keys", pickle.dumps(Evil()), "key 'keys': found a pickle that asks for 'posix.mkdir', which is refused"),
        (b"keys", pickle.dumps({}), "key 'keys': found a pickled dict, expected a list"),
        (b"__keys__", b"", "found an LMDB of tensorpack"),
    ],
)
def test_other_items_in_an_lmdb(
    key: bytes, value: bytes, message: str, write_source: Callable, items: Callable, store: Path
) -> None:
    source = write_source("lmdb", items(3))
    edit_lmdb(source, lambda transaction: transaction.put(key, value))
    assert refusal(source, store).startswith(f"{source}: {message}")
    assert not Path("made by a pickle").exists()


def test_an_lmdb_without_keys(write_source: Callable, items: Callable, store: Path) -> None:
    source = write_source("lmdb", items(3))
    edit_lmdb(source, lambda transaction: transaction.delete(b"keys"))
    assert refusal(source, store).startswith(f"{source}: found no key 'keys', expected an LMDB as VOLTA's")


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (np.asarray(Evil(), dtype=object), "found a pickle that asks for 'posix.mkdir', which is refused"),
        (np.asarray([1, 2]), "found a ndarray, expected a dict"),
        ({"bbox": np.ones((1, 4))}, "found the fields ['boxes', 'features'], expected img_w and img_h too"),
    ],
)
def test_another_info_beside_an_npy_file(
    info: Any, message: str, write_source: Callable, items: Callable, store: Path
) -> None:
    source = write_source("npy", items(3))
    np.save(source / "1_info.npy", info)
    assert refusal(source, store).startswith(f"{source / '1_info.npy'}: {message}")
    assert not Path("made by a pickle").exists()


def test_an_h5_file_of_another_kind(tmp_path: Path, store: Path) -> None:
    source = tmp_path / "other.h5"
    with h5py.File(source, "w") as file:
        file["features"] = np.zeros((3, 36, 4))
    assert refusal(source, store) == (
        f"{source}: image features: found no group, expected one with features boxes img_w img_h"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": np.zeros((3, 4))}, "found features (3, 4) for 5 boxes, expected as many for each"),
        ({"boxes": np.zeros((5, 3))}, "found 15 numbers in boxes, expected 4 for each box"),
        ({"img_w": "wide"}, "img_w: found "),
        ({"img_h": None}, "expected img_h too"),
        ({"features": "no base 64"}, "features: found "),
        ({"features": {"a": 1}}, "features: found "),
    ],
)
def test_other_values_of_an_image(
    changes: dict[str, Any], message: str, write_source: Callable, items: Callable, store: Path
) -> None:
    images = items(4)
    images["3"] |= changes
    source = write_source("lmdb", images)
    found = refusal(source, store)
    assert found.startswith(f"{source}: key 3: ")
    assert message in found


def test_a_source_is_read_from_any_place(any_format: str, write_source: Callable, items: Callable) -> None:
    source = open_source(write_source(any_format, items(5)))
    names = [image.id for image in source.read(0)]
    assert names == ["0", "1", "2", "3", "4"]
    assert [image.id for image in source.read(3)] == names[3:]
    assert not list(source.read(5))
