"""Conversion as a whole: several sources, resuming, images that cannot be used, and a destination that cannot."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from iglue_plugins.data.conversion import convert as conversion
from iglue_plugins.data.conversion import writing
from iglue_plugins.data.conversion.convert import convert
from iglue_plugins.data.conversion.images import (
    AGAIN,
    NO_BOXES,
    NO_SIZE,
    NOT_FINITE,
    OUTSIDE,
    Image,
    Source,
)
from iglue_plugins.data.conversion.sources import open_source
from iglue_plugins.data.stores import MappedRegions
from iglue_plugins.utils.errors import UserError


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "regions" / "flickr30k"


def contents(store: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in store.iterdir()}


def refusal(sources: list[Path], store: Path, **options: str) -> str:
    with pytest.raises(UserError) as error:
        convert(sources, store, **options)
    return str(error.value)


# Several sources


def test_several_sources_make_one_store(write_source: Callable, items: Callable, store: Path) -> None:
    sources = [write_source("h5", items(3), "train"), write_source("tsv", items(2, start=3), "dev")]
    metadata, _ = convert(sources, store)
    assert MappedRegions(store).ids == ["0", "1", "2", "3", "4"]
    assert [source.name for source in metadata.sources] == ["train.h5", "dev.tsv"]


def test_an_image_in_two_sources_is_stored_once(write_source: Callable, items: Callable, store: Path) -> None:
    metadata, _ = convert([write_source("h5", items(3)), write_source("tsv", items(3, start=1))], store)
    assert (metadata.images, metadata.noted) == (4, {AGAIN: 2})
    assert MappedRegions(store).ids == ["0", "1", "2", "3"]


@pytest.mark.parametrize("field", ["features", "boxes", "img_w"])
def test_two_images_of_one_id(field: str, write_source: Callable, items: Callable, store: Path) -> None:
    other = items(3)
    other["1"][field] = other["1"][field] + 1
    sources = [write_source("h5", items(2)), write_source("tsv", {name: other[name] for name in ("2", "1")})]
    assert refusal(sources, store) == (
        f"{sources[1]}: line 2: found the image id '1' again with other regions, expected each image once; convert the "
        "sources into stores of their own"
    )


# Going on


class Watched:
    """A source that notes which images are read from it, and is interrupted by Ctrl-C before one of them."""

    def __init__(self, source: Source, reads: list[str], stops_before: str | None) -> None:
        self.path, self.size, self.images, self.counted = source.path, source.size, source.images, source.counted
        self._source, self._reads, self._stops_before = source, reads, stops_before

    def read(self, start: int) -> Iterator[Image]:
        for image in self._source.read(start):
            if image.id == self._stops_before:
                raise KeyboardInterrupt
            self._reads.append(image.id)
            yield image


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Watches all sources from now on, and returns the list of what is read."""

    def start(stops_before: str | None = None) -> list[str]:
        reads: list[str] = []
        monkeypatch.setattr(
            conversion, "open_source", lambda path, format: Watched(open_source(path, format), reads, stops_before)
        )
        return reads

    return start


def test_an_interrupted_conversion_goes_on(
    any_format: str,
    write_source: Callable,
    items: Callable,
    store: Path,
    tmp_path: Path,
    watch: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sources = [write_source(any_format, items(5), "a"), write_source(any_format, items(4, start=5), "b")]
    convert(sources, tmp_path / "at once")
    monkeypatch.setattr(writing, "PART", 2)
    for stops_before, expected in (("3", "012"), ("7", "3456")):
        reads = watch(stops_before)
        with pytest.raises(KeyboardInterrupt):
            convert(sources, store)
        assert reads == list(expected)
        with pytest.raises(UserError, match="found an unfinished store"):
            MappedRegions(store)
    reads = watch()
    convert(sources, store)
    assert reads == ["7", "8"]
    assert contents(store) == contents(tmp_path / "at once")


KILLED = """
import os, signal, sys
from pathlib import Path
from iglue_plugins.data.conversion import from_npy, writing
from iglue_plugins.data.conversion.convert import convert

def load(path):
    if path.name == "4_info.npy":
        os.kill(os.getpid(), signal.SIGKILL)
    return load_npy(path)

writing.PART, load_npy, from_npy.load_npy = 3, from_npy.load_npy, load
convert([Path(sys.argv[1])], Path(sys.argv[2]))
"""


def test_a_killed_conversion_goes_on(
    write_source: Callable, items: Callable, store: Path, tmp_path: Path, watch: Callable
) -> None:
    source = write_source("npy", items(6))
    assert subprocess.run([sys.executable, "-c", KILLED, source, store]).returncode == -9
    with (store / "features.bin").open("ab") as file:
        file.write(b"half of an image")
    reads = watch()
    convert([source], store)
    assert reads == ["3", "4", "5"]
    convert([source], tmp_path / "at once")
    assert contents(store) == contents(tmp_path / "at once")


def test_what_was_converted_before_a_bad_image_is_kept(
    write_source: Callable, items: Callable, store: Path, tmp_path: Path
) -> None:
    source = write_source("tsv", items(6))
    convert([source], tmp_path / "at once")
    whole = source.read_text()
    source.write_text(whole.replace("\t4\t", "\t9\t", 1))  # of the same size, so still the same source
    assert "line 2: found 4 boxes, expected num_boxes 9" in refusal([source], store)
    source.write_text(whole.replace("\t1\t", "\t8\t", 1))  # the first line, which is not read again
    convert([source], store)
    assert contents(store) == contents(tmp_path / "at once")


def test_a_source_that_loses_an_image_meanwhile(
    write_source: Callable, items: Callable, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_source("npy", items(3))
    opened = open_source(source)
    opened._files.pop()
    monkeypatch.setattr(conversion, "open_source", lambda path, format: opened)
    assert refusal([source], store) == (
        f"{source}: found 2 images, expected the 3 that were in it at the start; it changed meanwhile"
    )


def test_a_finished_conversion_is_not_done_again(
    write_source: Callable, items: Callable, store: Path, watch: Callable
) -> None:
    source = write_source("h5", items(3))
    first, is_new = convert([source], store)
    assert is_new
    before, reads = contents(store), watch()
    assert convert([source], store) == (first, False)
    assert reads == []
    assert contents(store) == before


@pytest.mark.parametrize("finished", [True, False])
def test_a_store_of_something_else(finished: bool, write_source: Callable, items: Callable, store: Path) -> None:
    source, other = write_source("tsv", items(3)), write_source("tsv", items(4), "other")
    if not finished:
        source.write_text(source.read_text()[:-20])
        refusal([source], store)
    else:
        convert([source], store)
    size = source.stat().st_size
    for sources, dtype, expected in (
        ([other], "float16", f"float16 from other.tsv (size {other.stat().st_size})"),
        ([source, other], "float16", f"float16 from source.tsv (size {size}) and other.tsv"),
        ([source], "float32", f"float32 from source.tsv (size {size})"),
    ):
        found = refusal(sources, store, dtype=dtype)
        assert found.startswith(f"{store}: found a store of float16 from source.tsv (size {size}), expected {expected}")


# Images that cannot be used


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"features": np.zeros((0, 4)), "boxes": np.zeros((0, 4))}, NO_BOXES),
        ({"features": np.full((4, 4), np.nan)}, NOT_FINITE),
        ({"features": np.full((4, 4), -np.inf)}, NOT_FINITE),
        ({"boxes": np.full((4, 4), np.nan)}, NOT_FINITE),
        ({"img_w": 0}, NO_SIZE),
        ({"img_h": -3}, NO_SIZE),
        ({"img_h": 2**40}, NO_SIZE),
    ],
)
def test_an_image_that_cannot_be_used_is_left_out(
    any_format: str, changes: dict, reason: str, write_source: Callable, items: Callable, store: Path
) -> None:
    images = items(3)
    images["1"] |= changes
    metadata, _ = convert([write_source(any_format, images)], store)
    assert metadata.left_out == {reason: ("1",)}
    assert MappedRegions(store).ids == ["0", "2"]
    assert MappedRegions(store).metadata == metadata


def test_no_image_that_can_be_used(write_source: Callable, items: Callable, store: Path) -> None:
    images = items(2)
    for image in images.values():
        image["img_w"] = 0
    assert refusal([write_source("h5", images)], store) == (
        f"{store}: found no image that can be stored among 2 ({NO_SIZE}), expected at least one"
    )


def test_boxes_outside_of_the_image_are_kept_and_counted(write_source: Callable, items: Callable, store: Path) -> None:
    images = items(3)
    for name, (corner, value) in {"0": (2, 200.9), "1": (2, 202.5), "2": (1, -1.5)}.items():
        images[name]["boxes"][0, corner] = value
    metadata, _ = convert([write_source("h5", images)], store)
    assert (metadata.images, metadata.noted) == (3, {OUTSIDE: 2})
    assert MappedRegions(store).boxes(1)[0].tolist() == [10, 20, 202.5, 99]


def test_features_of_another_size(any_format: str, write_source: Callable, items: Callable, store: Path) -> None:
    images = items(3)
    images["2"]["features"] = np.zeros((2, 3), dtype=np.float32)
    assert refusal([write_source(any_format, images)], store).endswith(
        ": found features of size 3, expected 4 as in the images before it"
    )


def test_features_too_large_for_float16(write_source: Callable, items: Callable, tmp_path: Path) -> None:
    images = items(2)
    images["1"]["features"][0, 0] = -70000
    source = write_source("h5", images)
    assert refusal([source], tmp_path / "half") == (
        f"{source}: image 1: found a feature of 70000, expected at most 65504; convert with --dtype float32"
    )
    convert([source], tmp_path / "whole", dtype="float32")
    assert MappedRegions(tmp_path / "whole").features(1)[1, 0] == -70000


# Destinations that cannot be used


def test_a_folder_with_other_files(write_source: Callable, items: Callable, store: Path) -> None:
    store.mkdir(parents=True)
    (store / "thesis.tex").touch()
    assert refusal([write_source("h5", items(1))], store) == (
        f"{store}: found a folder with other files in it, expected a new or empty one"
    )


def test_a_destination_in_a_file(write_source: Callable, items: Callable) -> None:
    source = write_source("h5", items(1))
    assert refusal([source], source / "store").startswith(
        f"{source / 'store'}: cannot be written (Not a directory), expected a folder with room"
    )


def test_another_process_that_converts_into_it(write_source: Callable, items: Callable, store: Path) -> None:
    (store / "unfinished").mkdir(parents=True)
    source = write_source("h5", items(1))
    with FileLock(store / "unfinished" / ".lock"):
        assert refusal([source], store) == (f"{store}: found another process that converts into it, expected no other")
    convert([source], store)


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int | None], None]]:
    """Lets no file grow beyond a number of bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (soft if size is None else size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk(
    write_source: Callable,
    items: Callable,
    store: Path,
    tmp_path: Path,
    watch: Callable,
    no_room: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writing, "PART", 10)
    images = {name: image | {"features": np.tile(image["features"], (1, 1000))} for name, image in items(40).items()}
    source = write_source("h5", images)
    no_room(500_000)
    assert refusal([source], store).startswith(f"{store}: cannot be written (File too large), expected a folder with ")
    no_room(None)
    reads = watch()
    convert([source], store)
    assert 0 < len(reads) < 40
    convert([source], tmp_path / "at once")
    assert contents(store) == contents(tmp_path / "at once")


def test_what_an_earlier_process_left_is_damaged(
    write_source: Callable, items: Callable, store: Path, watch: Callable
) -> None:
    source = write_source("h5", items(3))
    watch("2")
    with pytest.raises(KeyboardInterrupt):
        convert([source], store)
    for file in (
        store / "unfinished" / "settings.json",
        store / "unfinished" / "0000000000.parquet",
        store / "features.bin",
    ):
        whole = file.read_bytes()
        file.write_bytes(whole[:-5])
        found = refusal([source], store)
        assert found.startswith(f"{file}: found ")
        assert found.endswith(f"delete {store} and convert again")
        file.write_bytes(whole)
    watch()
    convert([source], store)
