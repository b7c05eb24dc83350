"""Names that are not UTF-8, as old file systems have them: those of images are refused, those of paths are kept."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import lmdb
import pytest

from iglue_plugins.data.conversion.converter import convert
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.utils.text import printable

LATIN_1, OTHER = b"caf\xe9", b"caf\xe8"  # each would become 'caf' and U+FFFD


def rename_image(format: str, source: Path, old: str, new: bytes) -> None:
    """Renames an image of a source of a format."""
    if format == "npy":
        for end in (".npy", "_info.npy"):
            os.rename(source / f"{old}{end}", os.fsencode(source) + b"/" + new + end.encode())
    elif format == "tsv":
        source.write_bytes(source.read_bytes().replace(f"{old}\t".encode(), new + b"\t", 1))
    elif format == "h5":
        with h5py.File(source, "a") as file:
            file.create_group(new)
            del file[old]
    else:
        with lmdb.open(str(source), map_size=2**24) as env, env.begin(write=True) as transaction:
            transaction.put(new, transaction.pop(old.encode()))
            keys = pickle.loads(transaction.get(b"keys"))
            transaction.put(b"keys", pickle.dumps([key for key in keys if key != old.encode()] + [new]))


def test_an_image_whose_name_is_not_utf8_is_refused(
    any_format: str, write_source: Callable, items: Callable, store: Path, source_error: Callable
) -> None:
    images = {"one": items(1)["0"], "two": items(2)["1"]}
    source = write_source(any_format, images)
    rename_image(any_format, source, "one", LATIN_1)
    rename_image(any_format, source, "two", OTHER)
    message = source_error(source, store)
    assert message.startswith(f"{source}")
    assert r": the image's name caf\xe8 is not UTF-8" in message or r": the image's name caf\xe9 is not" in message


@pytest.mark.parametrize("renamed", ["source", "destination", "both"])
def test_paths_that_are_not_utf8_are_read_and_written(
    renamed: str, any_format: str, write_source: Callable, items: Callable, store: Path
) -> None:
    source, destination = write_source(any_format, items(3)), store
    convert([source], store.with_name("expected"))
    if renamed != "destination":
        source = source.rename(source.with_name(os.fsdecode(LATIN_1)))
    if renamed != "source":
        destination = store.with_name(os.fsdecode(LATIN_1))
    metadata, is_new = convert([source], destination)
    assert is_new and convert([source], destination) == (metadata, False)
    assert metadata.sources[0].name == printable(source.name)
    assert MappedRegions(destination).fingerprint() == MappedRegions(store.with_name("expected")).fingerprint()
