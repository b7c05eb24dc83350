"""TSV files with a row for each image (the obj36.tsv files of LXMERT's extraction)."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from iglue_plugins.data.conversion.images import SourceImage, make_image
from iglue_plugins.utils.errors import UserError

TSV_FIELDS = (
    "img_id",
    "img_h",
    "img_w",
    "objects_id",
    "objects_conf",
    "attrs_id",
    "attrs_conf",
    "num_boxes",
    "boxes",
    "features",
)


class TsvSource:
    """Reads images from a TSV file whose rows have the fields TSV_FIELDS, boxes and features as float32 in base64.

    The number of images is estimated from the length of the first row, since rows are of nearly the same length.
    Further fields of a row are not read.

    Args:
        path: The file.
    """

    count_is_exact = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        with path.open("rb") as file:
            self.num_images = round(self.size / max(len(file.readline()), 1))

    def read(self, start: int) -> Iterator[SourceImage]:
        """Reads the images but the first `start`; see `RegionSource.read`."""
        with self.path.open("rb") as file:
            if file.read(len(BOM_UTF8)) != BOM_UTF8:
                file.seek(0)
            rows = ((number, line) for number, line in enumerate(file, 1) if line.strip())
            for number, line in islice(rows, start, None):
                yield _parse_row(line, f"{self.path}: line {number}")


def _parse_row(line: bytes, where: str) -> SourceImage:
    values = line.rstrip(b"\r\n").split(b"\t")
    if len(values) < len(TSV_FIELDS):
        raise UserError(
            f"{where}: found {len(values)} fields, expected {len(TSV_FIELDS)} ({' '.join(TSV_FIELDS)}); it is cut "
            "short, so download or make the file again"
        )
    fields = dict(zip(TSV_FIELDS, values, strict=False))
    image = make_image(fields["img_id"].decode(errors="surrogateescape"), fields, where)
    if fields["num_boxes"] != str(len(image.boxes)).encode():
        raise UserError(
            f"{where}: found {len(image.boxes)} boxes, expected num_boxes "
            f"{fields['num_boxes'].decode(errors='replace')}; it is cut short, so download or make the file again"
        )
    return image
