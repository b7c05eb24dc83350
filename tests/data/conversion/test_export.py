"""Stores as H5 files and TSVs, read back and compared with files of the scripts that have made IGLUE's features."""

from __future__ import annotations

import base64
import csv
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from fake_detector import make_detected_store

from iglue_plugins.data.conversion import export
from iglue_plugins.data.conversion.converter import convert
from iglue_plugins.data.conversion.export import export_store
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.utils.errors import UserError

SHARED = Path(__file__).parents[3].parent / "shared" / "detector"
REFERENCE_H5, REFERENCE_TSV = SHARED / "iglue_boxes36_tiny.h5", SHARED / "airsplay_36_tiny.tsv"
needs_reference = pytest.mark.skipif(not REFERENCE_H5.is_file(), reason=f"no files of the original scripts in {SHARED}")


def types_and_shapes(group: h5py.Group) -> dict[str, tuple]:
    return {name: (field.dtype, field.shape[1:], len(field.shape), field.compression) for name, field in group.items()}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make_detected_store(tmp_path)


@pytest.mark.parametrize("name", ["a.h5", "a.hdf5", "a.tsv", "a.TSV"])
def test_an_exported_store_converts_to_the_same_store(name: str, store: Path, tmp_path: Path) -> None:
    assert export_store(store, tmp_path / name) == 3
    metadata, _ = convert([tmp_path / name], tmp_path / "back", dtype="float32")
    assert metadata.fingerprint == MappedRegions(store).fingerprint()


@needs_reference
def test_an_h5_file_has_the_fields_of_iglues(store: Path, tmp_path: Path) -> None:
    export_store(store, tmp_path / "a.h5", ".jpg")
    with h5py.File(tmp_path / "a.h5") as found, h5py.File(REFERENCE_H5) as reference:
        assert list(found) == ["0.jpg", "1.jpg", "2.jpg"]
        for image in found.values():
            assert types_and_shapes(image) == types_and_shapes(reference["img1"]) | {
                "features": (np.dtype("float32"), (8,), 2, None)
            }
        stored = MappedRegions(store)
        objects = stored.objects().image(1)
        expected = {"obj_id": objects.classes, "obj_conf": objects.scores, "attr_id": objects.attributes}
        expected |= {"attr_conf": objects.attribute_scores, "img_w": 50, "img_h": 55}
        expected |= {"boxes": stored.boxes(1), "features": stored.features(1)[1:]}
        for field, values in expected.items():
            np.testing.assert_array_equal(found["1.jpg"][field][()], values)


@needs_reference
def test_a_reference_file_comes_out_as_it_went_in(tmp_path: Path) -> None:
    """But for the objects, which a conversion does not keep."""
    convert([REFERENCE_H5], tmp_path / "store", dtype="float32")
    export_store(tmp_path / "store", tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as found, h5py.File(REFERENCE_H5) as reference:
        assert list(found) == ["img0", "img1", "img2"]
        for name, image in found.items():
            for field in ("features", "boxes", "img_w", "img_h"):
                original = reference[name if name in reference else f"{name}.png"][field]
                np.testing.assert_array_equal(image[field][()], original[()])
                assert image[field].dtype == original.dtype


def rows(path: Path) -> list[list[str]]:
    """As LXMERT's reader: Python's csv module."""
    csv.field_size_limit(sys.maxsize)
    with path.open(newline="") as file:
        return list(csv.reader(file, delimiter="\t"))


@pytest.mark.parametrize("attributes", [True, False])
def test_a_tsv_as_lxmert_reads_it(attributes: bool, tmp_path: Path) -> None:
    store = make_detected_store(tmp_path, attributes=attributes)
    export_store(store, tmp_path / "a.tsv")
    stored = MappedRegions(store)
    read = rows(tmp_path / "a.tsv")
    assert [row[0] for row in read] == ["0", "1", "2"]
    for position, row in enumerate(read):
        assert row[1:3] + [row[7]] == [str(60 - 5 * position), str(40 + 10 * position), "4"]
        types = (np.int64, np.float32, np.int64, np.float32, np.float32, np.float32)
        values = [
            np.frombuffer(base64.b64decode(text), kind) for text, kind in zip(row[3:7] + row[8:], types, strict=True)
        ]
        objects = stored.objects().image(position)
        no_attributes = np.zeros(4)
        expected = [
            objects.classes,
            objects.scores,
            objects.attributes if attributes else no_attributes,
            objects.attribute_scores if attributes else no_attributes,
            stored.boxes(position).ravel(),
            stored.features(position)[1:].ravel(),
        ]
        for found, wanted in zip(values, expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


@needs_reference
def test_a_tsv_has_the_fields_of_airsplays(tmp_path: Path) -> None:
    """Fields, line ends and the bytes for a number."""
    export_store(make_detected_store(tmp_path, size=128), tmp_path / "a.tsv")
    found, reference = (
        (path.read_bytes().splitlines(keepends=True)[0]) for path in (tmp_path / "a.tsv", REFERENCE_TSV)
    )
    assert found.endswith(b"\r\n") and reference.endswith(b"\r\n")
    fields = [line.rstrip(b"\r\n").split(b"\t") for line in (found, reference)]
    assert len(fields[0]) == len(fields[1]) == 10
    for ours, theirs in zip(*fields, strict=True):
        if len(theirs) > 10:  # numbers in base64, of 4 boxes and of 36
            assert len(base64.b64decode(ours)) * 36 == len(base64.b64decode(theirs)) * 4


def test_a_store_without_objects(write_source: Callable, items: Callable, tmp_path: Path) -> None:
    store = tmp_path / "converted"
    convert([write_source("npy", items(3))], store)
    export_store(store, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert sorted(file["0"]) == ["boxes", "features", "img_h", "img_w"]
    with pytest.raises(UserError) as error:
        export_store(store, tmp_path / "a.tsv")
    assert str(error.value).startswith(f"{store}: no detector has made this store, so that it has no classes")


def test_a_store_in_float16_comes_back_to_its_precision(tmp_path: Path) -> None:
    store = make_detected_store(tmp_path, dtype="float16")
    export_store(store, tmp_path / "a.h5")
    convert([tmp_path / "a.h5"], tmp_path / "back")
    for position in range(3):
        before, after = (MappedRegions(folder).features(position) for folder in (store, tmp_path / "back"))
        np.testing.assert_array_equal(before[1:], after[1:])
        np.testing.assert_allclose(before[0], after[0], rtol=1e-3)  # the mean is one of rounded features now


def test_the_file_is_whole_or_not_there(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = export._fields

    def interrupted(store: MappedRegions, objects: object, position: int) -> dict:
        if position == 2:
            raise KeyboardInterrupt
        return fields(store, objects, position)

    (tmp_path / "out").mkdir()
    for name in ("a.h5", "a.tsv"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(export, "_fields", interrupted)
            export_store(store, tmp_path / "out" / name)
        assert list((tmp_path / "out").iterdir()) == []
        export_store(store, tmp_path / "out" / name)
        (tmp_path / "out" / name).unlink()


def test_what_is_refused(store: Path, tmp_path: Path) -> None:
    def refused(file: str, suffix: str = "") -> str:
        with pytest.raises(UserError) as error:
            export_store(store, tmp_path / file, suffix)
        return str(error.value).removeprefix(f"{tmp_path / file}: ")

    assert refused("a.npz") == "ends in .npz; name a file that ends in .h5, .hdf5, .tsv"
    assert refused("a") == "ends in no suffix; name a file that ends in .h5, .hdf5, .tsv"
    assert refused("a.h5", "/jpg") == "--suffix: found '/jpg', expected the ending of a file's name, such as .jpg"
    (tmp_path / "a.h5").write_text("of someone else")
    assert refused("a.h5") == "is there already; name another file, or delete it"
    assert (tmp_path / "a.h5").read_text() == "of someone else"
    (tmp_path / "file").touch()
    assert refused("file/a.tsv").startswith("cannot be written (")
