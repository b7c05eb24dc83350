"""Sources that are cut short or hold wrong content: the error names the file and the place, and no store is made."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import lmdb
import numpy as np
import pytest

from iglue_plugins.data.conversion.converter import convert
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.utils.errors import UserError


class Malicious:
    """Makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("made by a pickle",)


# Sources that are cut short


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_an_h5_file_cut_short_is_refused(
    part: float, write_source: Callable, items: Callable, store: Path, source_error: Callable
) -> None:
    source = write_source("h5", items(30))
    os.truncate(source, int(source.stat().st_size * part))
    assert source_error(source, store).startswith(f"{source}: cannot be read as H5 (")


def test_a_damaged_h5_file_is_read_or_refused_with_a_user_error(
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
def test_an_lmdb_cut_short_is_refused(
    part: float, write_source: Callable, items: Callable, store: Path, source_error: Callable
) -> None:
    source = write_source("lmdb", items(60))
    file = source / "data.mdb"
    os.truncate(file, int(file.stat().st_size * part))
    assert source_error(source, store).startswith(f"{file}: found {file.stat().st_size} bytes, expected at least ")


def test_an_lmdb_that_lacks_images_is_refused(
    write_source: Callable, items: Callable, store: Path, source_error: Callable
) -> None:
    source = write_source("lmdb", items(4))
    edit_lmdb(source, lambda transaction: transaction.delete(b"2"))
    assert source_error(source, store).startswith(f"{source}: found 3 images, expected the 4 ")


def test_an_lmdb_whose_pages_are_damaged_is_refused_or_read_whole(
    write_source: Callable, items: Callable, tmp_path: Path
) -> None:
    """LMDB trusts the headers of its pages, and would end this process by reading outside of the file."""
    source = write_source("lmdb", items(40))
    file = source / "data.mdb"
    content = file.read_bytes()
    messages = set()
    for page in range(2, len(content) // 4096):
        for start, damage in ((10, b"\x00"), (10, b"\x02"), (13, b"\x01"), (21, b"\xff"), (16, b"\xff\x0f" * 4)):
            at = page * 4096 + start
            file.write_bytes(content[:at] + damage + content[at + len(damage) :])
            try:
                assert convert([source], tmp_path / f"{page}-{start}-{damage.hex()}")[0].images == 40
            except UserError as error:
                messages.add(str(error).partition(" (")[0])
    assert f"{source}: cannot be read as an LMDB" in messages


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (lambda row: row[:2], "found 1 fields, expected 10 (img_id img_h"),
        (lambda row: row.rpartition("\t")[0], "found 9 fields, expected 10 (img_id img_h"),
        (lambda row: row.rpartition("\t")[0] + "\t", "features of shape (0,) do not fit 2 boxes"),
        (lambda row: row[:-1], "features: neither numbers nor float32 in base64"),
        (lambda row: row[:-12], "found features of size 3, expected 4"),
        (lambda row: row.replace("\t2\t", "\t3\t", 1), "found 2 boxes, expected num_boxes 3"),
    ],
)
def test_a_tsv_row_cut_short_is_named_with_its_line(
    cut: Callable[[str], str],
    message: str,
    write_source: Callable,
    items: Callable,
    store: Path,
    source_error: Callable,
) -> None:
    source = write_source("tsv", {name: items(20)[name] for name in ("0", "1", "2", "17")})
    first, second, third, last = source.read_text().splitlines()
    source.write_text("\n".join([first, second, third, cut(last)]))
    assert source_error(source, store).startswith(f"{source}: line 4: {message}")


def test_an_npy_file_cut_short_is_refused(
    write_source: Callable, items: Callable, store: Path, source_error: Callable
) -> None:
    source = write_source("npy", items(3))
    os.truncate(source / "1.npy", 130)
    assert source_error(source, store).startswith(f"{source / '1.npy'}: found 2 bytes of numbers, expected ")


def test_an_npy_file_without_info_is_left_out(write_source: Callable, items: Callable, store: Path) -> None:
    source = write_source("npy", items(3))
    (source / "1_info.npy").unlink()
    metadata, _ = convert([source], store)
    assert metadata.left_out == {"a .npy without its _info.npy": ("1",)}
    assert MappedRegions(store).ids == ["0", "2"]


# Sources with wrong content


def edit_lmdb(source: Path, edit: Callable[[lmdb.Transaction], Any]) -> None:
    with lmdb.open(str(source), map_size=2**24) as env, env.begin(write=True) as transaction:
        edit(transaction)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (b"1", pickle.dumps(Malicious()), "key 1: the pickle asks for 'posix.mkdir', which is refused"),
        (b"1", pickle.dumps([1, 2]), "key 1: found a pickled list, expected a dict"),
        (b"1", pickle.dumps({"a": 1})[:-1], "key 1: the pickle is damaged or cut short"),
        (
            b"1",
            pickle.dumps({"boxes": 1}),
            "key 1: the image has no value for features, img_w, img_h ",
        ),
        (
            b"keys",
            pickle.dumps(Malicious()),
            "key 'keys': the pickle asks for 'posix.mkdir', which is refused",
        ),
        (b"keys", pickle.dumps({}), "key 'keys': found a pickled dict, expected a list"),
        (b"__keys__", b"", "is an LMDB of tensorpack"),
    ],
)
def test_a_wrong_value_in_an_lmdb_is_named_with_its_key(
    key: bytes, value: bytes, message: str, write_source: Callable, items: Callable, store: Path, source_error: Callable
) -> None:
    source = write_source("lmdb", items(3))
    edit_lmdb(source, lambda transaction: transaction.put(key, value))
    assert source_error(source, store).startswith(f"{source}: {message}")
    assert not Path("made by a pickle").exists()


def test_an_lmdb_without_keys_is_refused(
    write_source: Callable, items: Callable, store: Path, source_error: Callable
) -> None:
    source = write_source("lmdb", items(3))
    edit_lmdb(source, lambda transaction: transaction.delete(b"keys"))
    assert source_error(source, store).startswith(f"{source}: key 'keys': is missing")


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (np.asarray(Malicious(), dtype=object), "the pickle asks for 'posix.mkdir', which is refused"),
        (np.asarray([1, 2]), "found a ndarray, expected a dict"),
        ({"bbox": np.ones((1, 4))}, "the image has no value for img_w, img_h "),
    ],
)
def test_a_wrong_info_file_is_named(
    info: Any, message: str, write_source: Callable, items: Callable, store: Path, source_error: Callable
) -> None:
    source = write_source("npy", items(3))
    np.save(source / "1_info.npy", info)
    assert source_error(source, store).startswith(f"{source / '1_info.npy'}: {message}")
    assert not Path("made by a pickle").exists()


def test_an_h5_file_without_groups_is_refused(tmp_path: Path, store: Path, source_error: Callable) -> None:
    source = tmp_path / "other.h5"
    with h5py.File(source, "w") as file:
        file["features"] = np.zeros((3, 36, 4))
    assert source_error(source, store).startswith(f"{source}: image features: is not a group")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": np.zeros((3, 4))}, "features of shape (3, 4) do not fit 5 boxes"),
        ({"boxes": np.zeros((5, 3))}, "found 15 numbers in boxes, expected 4 for each box"),
        ({"img_w": "wide"}, "img_w: found "),
        ({"img_h": None}, "no value for img_h "),
        ({"features": "no base 64"}, "features: neither numbers nor float32 in base64"),
        ({"features": {"a": 1}}, "features: neither numbers nor float32 in base64"),
    ],
)
def test_a_wrong_field_of_an_image_is_named(
    changes: dict[str, Any], message: str, write_source: Callable, items: Callable, store: Path, source_error: Callable
) -> None:
    images = items(4)
    images["3"] |= changes
    source = write_source("lmdb", images)
    error = source_error(source, store)
    assert error.startswith(f"{source}: key 3: ")
    assert message in error
