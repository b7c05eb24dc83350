"""The pictures of images in a folder of stores."""

from __future__ import annotations

import pickle
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from iglue_plugins.data.pictures import folder as folder_module
from iglue_plugins.data.pictures.folder import PictureFolder
from iglue_plugins.data.pictures.reading import PictureError
from iglue_plugins.utils.errors import UserError


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., None]:
    """Writes pictures whose red is their number among the names."""

    def write_all(*names: str) -> None:
        for number, name in enumerate(names):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 3), (number, 0, 0)).save(path, "PNG")

    return write_all


def red(pictures: PictureFolder, image_id: str) -> int:
    picture = pictures.picture(image_id)
    assert (picture.mode, picture.size) == ("RGB", (4, 3))
    return picture.getpixel((0, 0))[0]


def test_images_by_store_and_name(tmp_path: Path, write: Callable) -> None:
    write("flickr30k/1.jpg", "flickr30k/2.JPEG", "marvl-id/1.png", "marvl-id/39-n-5.webp", "7.jpg", "a/b/c.jpg")
    pictures = PictureFolder(tmp_path)
    ids = ["flickr30k/1", "flickr30k/2", "marvl-id/1", "marvl-id/39-n-5", "7", "a/b/c"]
    assert [red(pictures, image_id) for image_id in ids] == list(range(6))
    assert all(map(pictures.has, ids))


def test_names_with_dots_and_suffixes(tmp_path: Path, write: Callable) -> None:
    write("s/a.b.jpg", "s/a.jpg", "s/c.jpg.png", "s/d.jpg")
    pictures = PictureFolder(tmp_path)
    assert [red(pictures, f"s/{name}") for name in ("a.b", "a", "c.jpg", "d.jpg", "a.b.jpg", "c.jpg.png")] == [
        *(0, 1, 2, 3),
        *(0, 2),
    ]
    assert not pictures.has("s/c")
    assert not pictures.has("s/d.png")
    assert not pictures.has("s/D")


def test_what_is_no_picture_is_not_found(tmp_path: Path, write: Callable) -> None:
    write("s/a.jpg", "s/b.txt", "s/.c.jpg", "s/d.gif")
    (tmp_path / "s" / "e.jpg").mkdir()
    (tmp_path / "s" / "f.jpg").symlink_to(tmp_path / "s" / "a.jpg")
    assert [name for name in "abcdef" if PictureFolder(tmp_path).has(f"s/{name}")] == ["a", "f"]
    assert not PictureFolder(tmp_path).has("s/")
    assert not PictureFolder(tmp_path).has("")


@pytest.mark.parametrize("image_id", ["../s/a", "/s/a", "s/../s/a", "s/./a", "s//a", "./a", "a\0/b", "..\\s/a"])
def test_an_id_does_not_leave_the_folder(image_id: str, tmp_path: Path, write: Callable) -> None:
    write("s/a.jpg", "in/s/a.jpg")
    pictures = PictureFolder(tmp_path / "in")
    for ask in (pictures.has, pictures.picture, lambda image_id: pictures.missing([image_id])):
        with pytest.raises(UserError, match="leads out of the folder of pictures"):
            ask(image_id)


def test_two_files_of_one_image(tmp_path: Path, write: Callable) -> None:
    write("s/a.jpg", "s/a.png", "s/b.jpg", "s/b.JPG", "s/c.jpg", "s/c.jpg.jpg")
    pictures = PictureFolder(tmp_path)
    for image_id in ("s/a", "s/b", "s/c.jpg"):
        with pytest.raises(UserError, match=re.escape(f"{tmp_path / 's'}: image '{image_id}' has 2 pictures (")):
            pictures.has(image_id)
    assert pictures.has("s/a.png")


def test_a_missing_store(tmp_path: Path) -> None:
    pictures = PictureFolder(tmp_path)
    with pytest.raises(
        UserError, match=re.escape(f"{tmp_path / 'nlvr2'}: the folder with the picture of image 'nlvr2/")
    ):
        pictures.has("nlvr2/dev-1")
    (tmp_path / "nlvr2").mkdir()
    assert not pictures.has("nlvr2/dev-1")


def test_a_missing_picture(tmp_path: Path, write: Callable) -> None:
    write("s/a.jpg")
    with pytest.raises(
        UserError, match=re.escape(f"{tmp_path / 's'}: holds no picture of image 's/b'; put b with .jpg")
    ):
        PictureFolder(tmp_path).picture("s/b")


def test_a_damaged_picture_is_named(tmp_path: Path, write: Callable) -> None:
    write("s/a.jpg")
    (tmp_path / "s" / "a.jpg").write_bytes(b"text")
    with pytest.raises(PictureError, match=f"^{tmp_path / 's' / 'a.jpg'}: "):
        PictureFolder(tmp_path).picture("s/a")


def test_which_of_30000_images_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read, and the folder is listed once."""
    monkeypatch.setattr(folder_module, "read_picture", None)
    (tmp_path / "s").mkdir()
    for number in range(3000):
        (tmp_path / "s" / f"{number}.jpg").touch()
    pictures, ids = PictureFolder(tmp_path), [f"s/{number % 3100}" for number in range(30_000)]
    start = time.perf_counter()
    assert pictures.missing(ids) == [f"s/{number}" for number in range(3000, 3100)]
    assert time.perf_counter() - start < 2


def test_a_copy_in_another_process(tmp_path: Path, write: Callable) -> None:
    write(*(f"s/{number}.jpg" for number in range(300)))
    pictures = PictureFolder(tmp_path)
    assert pictures.has("s/1")
    content = pickle.dumps(pictures)
    assert len(content) < 500
    assert pickle.loads(content).has("s/1")


def test_the_least_side(tmp_path: Path) -> None:
    Image.new("RGB", (800, 600)).save(tmp_path / "a.jpg")
    assert PictureFolder(tmp_path).picture("a", least_side=100).size == (200, 150)
