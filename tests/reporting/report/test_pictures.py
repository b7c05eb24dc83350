import base64
import io

from PIL import Image

from iglue_plugins.reporting.report.pictures import Thumbnails
from iglue_plugins.utils.errors import UserError


class Pictures:
    def __init__(self) -> None:
        self.read: list[str] = []

    def has(self, image_id: str) -> bool:
        if image_id.startswith("elsewhere/"):
            raise UserError("elsewhere: is not there; mount it")
        return image_id != "lacking"

    def picture(self, image_id: str, least_side: int | None = None) -> Image.Image:
        self.read.append(image_id)
        if image_id == "damaged":
            raise UserError("damaged.jpg: cannot be read")
        return Image.new("RGB", (1000, 500), "green")


def test_pictures_become_small_and_are_read_once() -> None:
    thumbnails = Thumbnails(pictures := Pictures())
    uri = thumbnails.uri("a")
    assert uri is not None
    assert uri == thumbnails.uri("a")
    assert pictures.read == ["a"]
    kind, _, content = uri.partition(",")
    assert kind == "data:image/webp;base64"
    assert Image.open(io.BytesIO(base64.b64decode(content))).size == (320, 160)


def test_what_is_lacking_is_said_once() -> None:
    thumbnails = Thumbnails(Pictures())
    assert [thumbnails.uri(name) for name in ("lacking", "damaged", "elsewhere/a", "elsewhere/b")] == [None] * 4
    assert thumbnails.lacks == ["damaged.jpg: cannot be read"]


def test_without_pictures() -> None:
    thumbnails = Thumbnails(None, "the task has no pictures")
    assert (thumbnails.uri("a"), thumbnails.lacks) == (None, ["the task has no pictures"])
