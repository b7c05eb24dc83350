"""The conversion of one or several sources: images that are stored, images and destinations that are not accepted."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from iglue_plugins.data.conversion.converter import convert
from iglue_plugins.data.conversion.images import BOX_OUTSIDE_IMAGE, DUPLICATE, NO_BOXES, NO_SIZE, NOT_FINITE
from iglue_plugins.data.stores.mapped_regions import MappedRegions

# Several sources


def test_several_sources_make_one_store(write_source: Callable, items: Callable, store: Path) -> None:
    sources = [write_source("h5", items(3), "train"), write_source("tsv", items(2, start=3), "dev")]
    metadata, _ = convert(sources, store)
    assert MappedRegions(store).ids == ["0", "1", "2", "3", "4"]
    assert [source.name for source in metadata.sources] == ["train.h5", "dev.tsv"]


def test_an_image_in_two_sources_is_stored_once(write_source: Callable, items: Callable, store: Path) -> None:
    metadata, _ = convert([write_source("h5", items(3)), write_source("tsv", items(3, start=1))], store)
    assert (metadata.images, metadata.noted) == (4, {DUPLICATE: 2})
    assert MappedRegions(store).ids == ["0", "1", "2", "3"]


@pytest.mark.parametrize("field", ["features", "boxes", "img_w"])
def test_two_images_with_one_id_and_other_regions_are_refused(
    field: str, write_source: Callable, items: Callable, store: Path, conversion_error: Callable
) -> None:
    other = items(3)
    other["1"][field] = other["1"][field] + 1
    sources = [write_source("h5", items(2)), write_source("tsv", {name: other[name] for name in ("2", "1")})]
    message = conversion_error(sources, store)
    assert message.startswith(f"{sources[1]}: line 2: ")
    assert "image id '1'" in message and "other regions" in message


# Unusable images


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"features": np.zeros((0, 4)), "boxes": np.zeros((0, 4))}, NO_BOXES),
        ({"features": np.full((4, 4), np.nan, dtype=np.float32)}, NOT_FINITE),
        ({"features": np.full((4, 4), -np.inf, dtype=np.float32)}, NOT_FINITE),
        ({"boxes": np.full((4, 4), np.nan, dtype=np.float32)}, NOT_FINITE),
        ({"img_w": 0}, NO_SIZE),
        ({"img_h": -3}, NO_SIZE),
        ({"img_h": 2**40}, NO_SIZE),
    ],
)
def test_an_unusable_image_is_left_out(
    any_format: str, changes: dict, reason: str, write_source: Callable, items: Callable, store: Path
) -> None:
    images = items(3)
    images["1"] |= changes
    metadata, _ = convert([write_source(any_format, images)], store)
    assert metadata.left_out == {reason: ("1",)}
    assert MappedRegions(store).ids == ["0", "2"]
    assert MappedRegions(store).metadata == metadata


def test_sources_without_a_usable_image_are_refused(
    write_source: Callable, items: Callable, store: Path, conversion_error: Callable
) -> None:
    images = items(2)
    for image in images.values():
        image["img_w"] = 0
    message = conversion_error([write_source("h5", images)], store)
    assert message.startswith(f"{store}: none of the 2 images can be stored ({NO_SIZE})")


def test_boxes_outside_of_the_image_are_kept_and_counted(write_source: Callable, items: Callable, store: Path) -> None:
    images = items(3)
    for name, (corner, value) in {"0": (2, 200.9), "1": (2, 202.5), "2": (1, -1.5)}.items():
        images[name]["boxes"][0, corner] = value
    metadata, _ = convert([write_source("h5", images)], store)
    assert (metadata.images, metadata.noted) == (3, {BOX_OUTSIDE_IMAGE: 2})
    assert MappedRegions(store).boxes(1)[0].tolist() == [10, 20, 202.5, 99]


def test_features_of_two_sizes_are_refused(
    any_format: str, write_source: Callable, items: Callable, store: Path, conversion_error: Callable
) -> None:
    images = items(3)
    images["2"]["features"] = np.zeros((2, 3), dtype=np.float32)
    message = conversion_error([write_source(any_format, images)], store)
    assert "features of size 3" in message and "expected 4" in message


def test_features_too_large_for_float16_are_refused(
    write_source: Callable, items: Callable, tmp_path: Path, conversion_error: Callable
) -> None:
    images = items(2)
    images["1"]["features"][0, 0] = -70000
    source = write_source("h5", images)
    message = conversion_error([source], tmp_path / "half")
    assert message.startswith(f"{source}: image 1: ")
    assert "70000" in message and "--dtype float32" in message
    convert([source], tmp_path / "whole", dtype="float32")
    assert MappedRegions(tmp_path / "whole").features(1)[1, 0] == -70000


# Unusable destinations


def test_a_destination_with_other_files_is_refused(
    write_source: Callable, items: Callable, store: Path, conversion_error: Callable
) -> None:
    store.mkdir(parents=True)
    (store / "thesis.tex").touch()
    message = conversion_error([write_source("h5", items(1))], store)
    assert message.startswith(f"{store}: ")
    assert "other files" in message and "new or empty folder" in message
    assert [file.name for file in store.iterdir()] == ["thesis.tex"]


def test_a_destination_inside_a_file_is_refused(
    write_source: Callable, items: Callable, conversion_error: Callable
) -> None:
    source = write_source("h5", items(1))
    message = conversion_error([source], source / "store")
    assert message.startswith(f"{source / 'store'}: cannot be written (Not a directory)")


def test_a_destination_of_another_process_is_refused(
    write_source: Callable, items: Callable, store: Path, conversion_error: Callable
) -> None:
    (store / "unfinished").mkdir(parents=True)
    source = write_source("h5", items(1))
    with FileLock(store / "unfinished" / ".lock"):
        (store / "unfinished" / ".lock").write_text("77\nnode-7\n")
        message = conversion_error([source], store)
        assert message.startswith(f"{store}: another process converts into this folder")
        assert f"{store / 'unfinished' / '.lock'} is held by process 77 on node-7 since 20" in message
    convert([source], store)


def test_an_h5_file_is_read_without_a_lock(write_source: Callable, items: Callable, store: Path) -> None:
    source = write_source("h5", items(1))
    with source.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        convert([source], store)


def test_a_folder_that_cannot_be_locked_is_written_all_the_same(
    write_source: Callable, items: Callable, store: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    source = write_source("h5", items(1))
    monkeypatch.setattr(fcntl, "flock", flock)
    convert([source], store)
    assert capfd.readouterr().err.startswith(f"{store}: the file system cannot lock files (No locks available), so ")
