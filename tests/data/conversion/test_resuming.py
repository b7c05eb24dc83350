"""Conversions that are interrupted, killed or run out of disk space, and the same command after them."""

from __future__ import annotations

import itertools
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from iglue_plugins.data.conversion import converter, store_writer
from iglue_plugins.data.conversion.converter import convert
from iglue_plugins.data.conversion.formats import open_source
from iglue_plugins.data.conversion.images import RegionSource, SourceImage
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.utils.errors import UserError


def contents(store: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in store.iterdir()}


class RecordingSource:
    """A source that records which images are read from it, and is interrupted by Ctrl-C before one of them."""

    def __init__(self, source: RegionSource, reads: list[str], stops_before: str | None) -> None:
        self.path, self.size = source.path, source.size
        self.num_images, self.count_is_exact = source.num_images, source.count_is_exact
        self._source, self._reads, self._stops_before = source, reads, stops_before

    def read(self, start: int) -> Iterator[SourceImage]:
        for image in self._source.read(start):
            if image.id == self._stops_before:
                raise KeyboardInterrupt
            self._reads.append(image.id)
            yield image


@pytest.fixture
def record_reads(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Records all reads from now on: returns the list that gets the ids of the images read."""

    def start(stops_before: str | None = None) -> list[str]:
        reads: list[str] = []
        monkeypatch.setattr(
            converter,
            "open_source",
            lambda path, format: RecordingSource(open_source(path, format), reads, stops_before),
        )
        return reads

    return start


def test_an_interrupted_conversion_resumes(
    any_format: str,
    write_source: Callable,
    items: Callable,
    store: Path,
    tmp_path: Path,
    record_reads: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sources = [write_source(any_format, items(5), "a"), write_source(any_format, items(4, start=5), "b")]
    convert(sources, tmp_path / "at once")
    monkeypatch.setattr(store_writer, "IMAGES_PER_TABLE", 2)
    for stops_before, expected in (("3", "012"), ("7", "3456")):
        reads = record_reads(stops_before)
        with pytest.raises(KeyboardInterrupt):
            convert(sources, store)
        assert reads == list(expected)
        with pytest.raises(UserError, match="the store is unfinished"):
            MappedRegions(store)
    reads = record_reads()
    convert(sources, store)
    assert reads == ["7", "8"]
    assert contents(store) == contents(tmp_path / "at once")


KILLED_CONVERSION = """
import os, signal, sys
from pathlib import Path
from iglue_plugins.data.conversion import npy_source, store_writer
from iglue_plugins.data.conversion.converter import convert

def load(path):
    if path.name == "4_info.npy":
        os.kill(os.getpid(), signal.SIGKILL)
    return load_npy(path)

store_writer.IMAGES_PER_TABLE, load_npy, npy_source.load_npy = 3, npy_source.load_npy, load
convert([Path(sys.argv[1])], Path(sys.argv[2]))
"""


def test_a_killed_conversion_resumes(
    write_source: Callable, items: Callable, store: Path, tmp_path: Path, record_reads: Callable
) -> None:
    source = write_source("npy", items(6))
    assert subprocess.run([sys.executable, "-c", KILLED_CONVERSION, source, store]).returncode == -9
    with (store / "features.bin").open("ab") as file:
        file.write(b"half of an image")
    reads = record_reads()
    convert([source], store)
    assert reads == ["3", "4", "5"]
    convert([source], tmp_path / "at once")
    assert contents(store) == contents(tmp_path / "at once")


def test_images_before_a_damaged_one_are_kept(
    write_source: Callable, items: Callable, store: Path, tmp_path: Path, conversion_error: Callable
) -> None:
    source = write_source("tsv", items(6))
    convert([source], tmp_path / "at once")
    whole = source.read_text()
    source.write_text(whole.replace("\t4\t", "\t9\t", 1))  # of the same size, so still the same source
    assert "line 2: found 4 boxes, expected num_boxes 9" in conversion_error([source], store)
    source.write_text(whole.replace("\t1\t", "\t8\t", 1))  # the first line, which is not read again
    convert([source], store)
    assert contents(store) == contents(tmp_path / "at once")


def test_a_source_that_loses_an_image_during_the_conversion_is_refused(
    write_source: Callable,
    items: Callable,
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    conversion_error: Callable,
) -> None:
    source = write_source("npy", items(3))
    opened = open_source(source)
    read = opened.read
    monkeypatch.setattr(opened, "read", lambda start: itertools.islice(read(start), 2))
    monkeypatch.setattr(converter, "open_source", lambda path, format: opened)
    message = conversion_error([source], store)
    assert message.startswith(f"{source}: found 2 images, expected the 3 ")
    assert f"delete {store}" in message


def test_a_finished_conversion_is_not_repeated(
    write_source: Callable, items: Callable, store: Path, record_reads: Callable
) -> None:
    source = write_source("h5", items(3))
    first, is_new = convert([source], store)
    assert is_new
    before, reads = contents(store), record_reads()
    assert convert([source], store) == (first, False)
    assert reads == []
    assert contents(store) == before


@pytest.mark.parametrize("finished", [True, False])
def test_a_store_of_other_sources_or_dtype_is_refused(
    finished: bool, write_source: Callable, items: Callable, store: Path, conversion_error: Callable
) -> None:
    source, other = write_source("tsv", items(3)), write_source("tsv", items(4), "other")
    if not finished:
        source.write_text(source.read_text()[:-20])
        conversion_error([source], store)
    else:
        convert([source], store)
    size = source.stat().st_size
    for sources, dtype, expected in (
        ([other], "float16", f"float16 from other.tsv (size {other.stat().st_size})"),
        ([source, other], "float16", f"float16 from source.tsv (size {size}) and other.tsv"),
        ([source], "float32", f"float32 from source.tsv (size {size})"),
    ):
        message = conversion_error(sources, store, dtype=dtype)
        assert message.startswith(
            f"{store}: found a store of float16 from source.tsv (size {size}), expected {expected}"
        )


@pytest.fixture
def limit_file_size() -> Iterator[Callable[[int | None], None]]:
    """Sets the largest number of bytes of a file; None is the limit before the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (soft if size is None else size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_conversion_resumes_after_a_full_disk(
    write_source: Callable,
    items: Callable,
    store: Path,
    tmp_path: Path,
    record_reads: Callable,
    limit_file_size: Callable,
    monkeypatch: pytest.MonkeyPatch,
    conversion_error: Callable,
) -> None:
    monkeypatch.setattr(store_writer, "IMAGES_PER_TABLE", 10)
    images = {name: image | {"features": np.tile(image["features"], (1, 1000))} for name, image in items(40).items()}
    source = write_source("h5", images)
    limit_file_size(500_000)
    assert conversion_error([source], store).startswith(f"{store}: cannot be written (File too large)")
    limit_file_size(None)
    reads = record_reads()
    convert([source], store)
    assert 0 < len(reads) < 40
    convert([source], tmp_path / "at once")
    assert contents(store) == contents(tmp_path / "at once")


def test_damaged_files_of_an_earlier_process_are_named(
    write_source: Callable, items: Callable, store: Path, record_reads: Callable, conversion_error: Callable
) -> None:
    source = write_source("h5", items(3))
    record_reads("2")
    with pytest.raises(KeyboardInterrupt):
        convert([source], store)
    for file in (
        store / "unfinished" / "settings.json",
        store / "unfinished" / "0000000000.parquet",
        store / "features.bin",
    ):
        whole = file.read_bytes()
        file.write_bytes(whole[:-5])
        message = conversion_error([source], store)
        assert message.startswith(f"{file}: ")
        assert message.endswith(f"delete {store} and convert again")
        file.write_bytes(whole)
    record_reads()
    convert([source], store)
