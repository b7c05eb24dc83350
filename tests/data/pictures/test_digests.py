"""Hashes of pictures by their content."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from iglue_plugins.data.pictures import digests
from iglue_plugins.data.pictures.digests import pictures_digest
from iglue_plugins.utils.errors import UserError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for file in ("a.jpg", "b.png", "store/a.jpg"):
        path = tmp_path / "images" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.encode())
    return tmp_path / "images"


IDS = ["a", "b", "store/a", "store/none", "gone/a"]


def test_it_is_that_of_names_and_content(folder: Path, tmp_path: Path) -> None:
    digest = pictures_digest(folder, IDS)
    assert pictures_digest(folder, IDS[::-1] * 2) == digest
    copy = shutil.copytree(folder, tmp_path / "copy")
    os.utime(copy / "a.jpg", (1, 1))
    assert pictures_digest(copy, IDS) == digest
    assert (
        len({digest, pictures_digest(folder, ["a"]), pictures_digest(folder, ["b"]), pictures_digest(folder, [])}) == 4
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "a.jpg").write_bytes(b"other"),
        lambda folder: (folder / "store" / "a.jpg").unlink(),
        lambda folder: (folder / "store" / "none.webp").write_bytes(b"new"),
        lambda folder: (folder / "b.jpg").write_bytes(b"another file of this name"),
    ],
)
def test_it_changes_with_the_pictures_of_the_images(change: Callable[[Path], Any], folder: Path) -> None:
    digest = pictures_digest(folder, IDS)
    change(folder)
    assert pictures_digest(folder, IDS) != digest


def test_other_pictures_do_not_count(folder: Path) -> None:
    digest = pictures_digest(folder, ["a"])
    (folder / "b.png").write_bytes(b"other")
    (folder / "a").mkdir()
    assert pictures_digest(folder, ["a"]) == digest


def test_a_picture_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    hash_file = digests.hashlib.file_digest

    def counted(file: Any, name: str) -> Any:
        opened.append(file.name)
        return hash_file(file, name)

    monkeypatch.setattr(digests.hashlib, "file_digest", counted)
    digest = pictures_digest(folder, IDS)
    assert len(opened) == 3
    assert pictures_digest(folder, IDS) == digest and len(opened) == 3
    (folder / "a.jpg").write_bytes(b"of another size")
    assert pictures_digest(folder, IDS) != digest and len(opened) == 4


@pytest.mark.parametrize("content", [b"", b"damaged", b"{}"])
def test_a_damaged_cache_is_made_anew(content: bytes, folder: Path, tmp_path: Path) -> None:
    digest = pictures_digest(folder, IDS)
    (cache,) = (tmp_path / "cache").rglob("*.pictures")
    cache.write_bytes(content)
    assert pictures_digest(folder, IDS) == digest


def test_a_picture_that_is_no_file(folder: Path) -> None:
    (folder / "c.jpg").symlink_to(folder / "nowhere")
    with pytest.raises(UserError, match=r"c\.jpg: cannot be read \(No such file or directory\)"):
        pictures_digest(folder, ["c"])
