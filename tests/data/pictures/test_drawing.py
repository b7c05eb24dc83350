"""Drawings of photographs with boxes and labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iglue_plugins.data.pictures import drawing
from iglue_plugins.data.pictures.drawing import LONGER_SIDE, draw_regions, save_png
from iglue_plugins.utils.errors import UserError


def overlapping(rectangles: list) -> int:
    return sum(a.overlap(b) > 0 for i, a in enumerate(rectangles) for b in rectangles[:i])


@pytest.fixture
def placed(monkeypatch: pytest.MonkeyPatch) -> list:
    """The rectangles of the labels that are drawn."""
    places, place = [], drawing._place
    monkeypatch.setattr(drawing, "_place", lambda *given: places.append(place(*given)) or places[-1])
    return places


def test_labels_are_in_the_picture_and_do_not_cover_each_other(placed: list) -> None:
    rng = np.random.default_rng(0)
    corners = np.sort(rng.uniform(0, 1, (36, 2, 2)), axis=1).reshape(36, 4) * [500, 375, 500, 375]
    drawn = draw_regions(
        Image.new("RGB", (500, 375), "gray"), corners.astype(np.float32), ["striped umbrella 0.83"] * 36
    )
    assert len(placed) == 36 and overlapping(placed) == 0
    for left, top, right, bottom in placed:
        assert 0 <= left < right <= drawn.width and 0 <= top < bottom <= drawn.height


def test_equal_boxes_have_labels_beside_each_other(placed: list) -> None:
    boxes = np.tile(np.asarray([[100, 100, 300, 250]], dtype=np.float32), (10, 1))
    draw_regions(Image.new("RGB", (500, 375)), boxes, [f"dog 0.{number}" for number in range(10)])
    assert overlapping(placed) == 0


@pytest.mark.parametrize(
    ("size", "expected"), [((500, 375), (1400, 1050)), ((100, 50), (600, 300)), ((3000, 1000), (3000, 1000))]
)
def test_a_small_picture_is_enlarged(size: tuple[int, int], expected: tuple[int, int]) -> None:
    picture = Image.new("RGB", size, "white")
    drawn = draw_regions(picture, np.asarray([[0.0, 0.0, size[0], size[1]]]), ["all of it"])
    assert drawn.size == expected and max(drawn.size) <= max(LONGER_SIDE, *size)
    assert picture.getcolors() == [(size[0] * size[1], (255, 255, 255))], "the picture itself is as it was"


def test_boxes_are_where_they_belong() -> None:
    drawn = draw_regions(Image.new("RGB", (1400, 700)), np.asarray([[200.0, 300.0, 600.0, 500.0]]), ["x"])
    rows, columns = np.asarray(drawn).any(-1).nonzero()
    assert (columns.min(), columns.max(), rows.max()) == (200, 600, 500)
    assert 260 < rows.min() < 300, "the label lies on top"


def test_words_of_other_scripts_and_a_picture_that_is_too_narrow_for_them(placed: list) -> None:
    draw_regions(Image.new("RGB", (20, 400)), np.asarray([[0.0, 0.0, 20.0, 10.0]] * 2), ["köpek 犬 " * 20, ""])
    assert all(place.left == 0 for place in placed)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="x.png: cannot be written"):
        save_png(Image.new("RGB", (5, 5)), tmp_path / "file" / "x.png")
