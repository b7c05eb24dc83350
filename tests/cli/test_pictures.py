"""`iglue data pictures` and `iglue data extract`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from vision_towers import save_tower

from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.models.extraction import pictures


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.jpg")
    return folder


def test_pictures(iglue: Callable, photos: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    ended = iglue("data", "pictures", photos, copy, "--size", 30)
    told = f"{copy}: 4 pictures with a shorter side of at most 30 pixels"
    assert (ended.code, ended.out, ended.err) == (0, f"{told}\n", "")
    with Image.open(copy / "2.jpg") as image:
        assert image.size == (40, 30)
    assert iglue("data", "pictures", photos, copy, "--size", 30).out == f"{told}, 4 of them there before\n"


def test_pictures_names_those_that_cannot_be_read(iglue: Callable, photos: Path, tmp_path: Path) -> None:
    (photos / "1.jpg").write_text("no picture")
    (photos / "2.jpg").write_bytes(b"")
    ended = iglue("data", "pictures", photos, tmp_path / "copy", "--size", 30)
    assert (ended.code, ended.out.split(":")[1]) == (1, " 2 pictures with a shorter side of at most 30 pixels\n")
    first, second = ended.err.splitlines()
    assert first.startswith(f"iglue: {photos / '1.jpg'}: the picture has no format of a photograph")
    assert second == f"iglue: {photos / '2.jpg'}: the picture is an empty file; copy or download it again"
    assert iglue("data", "pictures", photos, tmp_path / "copy", "--size", 30).code == 1


def test_pictures_into_its_own_source(iglue: Callable, photos: Path) -> None:
    assert "name a folder beside it" in iglue("data", "pictures", photos, photos, "--size", 30).sentence()


def test_extract(iglue: Callable, photos: Path, tmp_path: Path) -> None:
    save_tower(tmp_path / "vit", "vit")
    (photos / "3.jpg").write_text("no picture")
    arguments = ("data", "extract", photos, tmp_path / "store", "--model", tmp_path / "vit", "--grid", 2)
    ended = iglue(*arguments, "--device", "cpu")
    told = "3 images, 12 boxes of 32 features, float16\n"
    assert (ended.code, ended.out) == (0, f"{tmp_path / 'store'}: {told}")
    assert ended.err.startswith("iglue: left out 1 image (3): the picture has no format of a photograph")
    assert MappedRegions(tmp_path / "store").ids == ["0", "1", "2"]
    assert iglue(*arguments, "--device", "cpu").out == f"{tmp_path / 'store'}: already extracted, {told}"


def test_ctrl_c_and_the_same_command(
    iglue: Callable, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_tower(tmp_path / "vit", "vit")
    arguments = ("data", "extract", photos, tmp_path / "store", "--model", tmp_path / "vit", "--grid", 2)
    read, reads = pictures.read_picture, []

    def interrupted(path: Path) -> Image.Image:
        if path.name == "2.jpg" and not reads:
            reads.append(path)
            raise KeyboardInterrupt
        return read(path)

    monkeypatch.setattr(pictures, "read_picture", interrupted)
    ended = iglue(*arguments, "--batch-size", 1, "--jobs", 1)
    assert (ended.code, ended.err) == (130, "iglue: interrupted; the same command resumes\n")
    assert iglue(*arguments).out.startswith(f"{tmp_path / 'store'}: 4 images")


def test_extract_without_a_model(iglue: Callable, photos: Path, tmp_path: Path) -> None:
    ended = iglue("data", "extract", photos, tmp_path / "store", "--model", tmp_path / "none")
    assert ended.sentence().startswith(f"there is no folder '{tmp_path / 'none'}'")
