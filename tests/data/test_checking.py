"""Which images have no picture, and where, without reading any."""

from __future__ import annotations

import pytest
from PIL import Image

from iglue_plugins.data.checking import check_pictures
from iglue_plugins.data.pictures.source import PictureSource
from iglue_plugins.utils.errors import UserError


class Listed(PictureSource):
    """Pictures by id; the store 'gqa' is not there."""

    def __init__(self, *image_ids: str) -> None:
        self.image_ids = set(image_ids)
        self.asked: list[str] = []

    def has(self, image_id: str) -> bool:
        self.asked.append(image_id)
        if image_id.startswith("gqa/"):
            raise UserError("pictures/gqa: there is no such folder")
        return image_id in self.image_ids

    def picture(self, image_id: str, least_side: int | None = None) -> Image.Image:
        raise AssertionError(f"picture {image_id} is read")


def test_pictures_are_checked_store_by_store() -> None:
    pictures = Listed("flickr30k/0", "flickr30k/1", "nlvr2/a")
    ids = ["flickr30k/0", "nlvr2/a", "flickr30k/7", "flickr30k/0", "gqa/n1", "flickr30k/1", "gqa/n2"]
    flickr, nlvr, gqa = check_pictures(ids, pictures)
    assert (flickr.store, flickr.images, flickr.missing, flickr.missing_store) == (
        "flickr30k", 3, ("flickr30k/7",), None
    )  # fmt: skip
    assert str(flickr) == "flickr30k: 3 images, 1 image (flickr30k/7) without pictures"
    assert str(nlvr) == "nlvr2: 1 images, all have pictures"
    assert gqa.missing == ("gqa/n1", "gqa/n2") and gqa.missing_store == "pictures/gqa: there is no such folder"
    assert str(gqa) == "gqa: 2 images, none has pictures: pictures/gqa: there is no such folder"
    assert pictures.asked.count("flickr30k/0") == 1


@pytest.mark.parametrize(
    ("ids", "store", "line"),
    [
        (["mini/xvnli/dev/0/0", "mini/xvnli/dev/1/0", "mini/xvnli/dev/9/0"], "mini", "mini: 3 images, 1 image"),
        (["1", "2"], "", "images: 2 images, 2 images (1, 2) without pictures"),
    ],
)
def test_the_store_is_what_stands_before_the_first_slash(ids: list[str], store: str, line: str) -> None:
    (found,) = check_pictures(ids, Listed("mini/xvnli/dev/0/0", "mini/xvnli/dev/1/0"))
    assert found.store == store and str(found).startswith(line)
