"""Pictures of examples."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from iglue_plugins.mini.tasks import MiniMaRVL, MiniXVNLI
from iglue_plugins.tasks import preview
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.preview import draw_examples
from iglue_plugins.utils.errors import UserError


@pytest.fixture(autouse=True)
def few_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    for task in (MiniMaRVL, MiniXVNLI):
        monkeypatch.setattr(task, "sizes", {"train": 1, "auxiliary": 1, "dev": 1, "test": 4, "unseen": 1})


@pytest.fixture
def latin_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no other font than matplotlib's own were installed."""
    monkeypatch.setattr(preview, "_font_families", lambda: ["DejaVu Sans"])


@pytest.mark.parametrize(("cls", "images", "rows", "columns"), [(MiniXVNLI, 4, 2, 3), (MiniMaRVL, 8, 2, 3)])
def test_each_example_is_drawn_with_its_pictures(
    cls: type[Task], images: int, rows: int, columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, drawn = cls(), []
    picture = task.pictures.picture
    monkeypatch.setattr(task.pictures, "picture", lambda image_id: drawn.append(image_id) or picture(image_id))
    lines = draw_examples(task, "test", "en", 4, tmp_path / "examples.png")
    examples = task.load("test", "en")
    assert lines == [f"{i}. {example['text']} -> {example['label']}" for i, example in enumerate(examples, 1)]
    assert drawn == sum(examples["image_ids"], []) and len(drawn) == images
    with Image.open(tmp_path / "examples.png") as png:
        assert png.format == "PNG"
        assert png.size == pytest.approx((110 * preview.CELL[0] * columns, 110 * preview.CELL[1] * rows), abs=1)
        assert len(png.convert("RGB").getcolors(maxcolors=2**20)) > 100, "pictures, not only text"


def test_fewer_examples_than_columns_make_a_narrow_picture(tmp_path: Path) -> None:
    assert len(draw_examples(MiniXVNLI(), "test", "en", 2, tmp_path / "two.png")) == 2
    with Image.open(tmp_path / "two.png") as png:
        assert png.size == pytest.approx((110 * preview.CELL[0] * 2, 110 * preview.CELL[1]), abs=1)


def test_a_language_without_a_font_has_a_line_about_it(latin_only: None, tmp_path: Path) -> None:
    *examples, last = draw_examples(MiniXVNLI(), "test", "ja", 1, tmp_path / "ja.png")
    assert len(examples) == 1
    assert last == "No installed font has all letters of 'ja': read its texts here, not in the picture."
    assert (tmp_path / "ja.png").is_file()


def test_a_language_that_the_font_covers_has_no_such_line(latin_only: None, tmp_path: Path) -> None:
    assert len(draw_examples(MiniXVNLI(), "test", "tr", 2, tmp_path / "tr.png")) == 2


def test_the_picture_is_a_png_whatever_the_path_ends_in(tmp_path: Path) -> None:
    draw_examples(MiniXVNLI(), "test", "en", 1, tmp_path / "examples.xyz")
    assert (tmp_path / "examples.xyz").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("path", ["missing/x.png", "file/x.png", "."])
def test_a_path_that_cannot_be_written_is_named(path: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot be written \(.+\); name a PNG") as error:
        draw_examples(MiniXVNLI(), "test", "en", 1, tmp_path / path)
    assert str(error.value).startswith(f"{tmp_path / path}: ")


@pytest.mark.parametrize(
    ("split", "language", "message"),
    [
        ("tset", "en", "has no split 'tset'; did you mean 'test'?"),
        ("test", "eng", "has no language 'eng'; did you mean"),
    ],
)
def test_an_unknown_split_or_language_is_named(split: str, language: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        draw_examples(MiniXVNLI(), split, language, 1, tmp_path / "x.png")
    assert str(error.value).startswith(f"task mini/xvnli {message}")
    assert not list(tmp_path.iterdir())


def test_a_task_without_pictures_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(MiniXVNLI, "pictures", Task.pictures)
    with pytest.raises(UserError, match="task mini/xvnli has no pictures, only region features"):
        draw_examples(MiniXVNLI(), "test", "en", 1, tmp_path / "x.png")
