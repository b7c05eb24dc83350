"""TSV files with a row for each image (obj36.tsv of LXMERT's extraction)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from iglue_plugins.data.conversion.images import Image, make_image
from iglue_plugins.utils.errors import UserError

FIELDS = (
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
    """Ten fields: img_id, img_h, img_w, four about classes, num_boxes, and boxes and features as float32 in base64.

    Fields after these are not read.
    """

    counted = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        with path.open("rb") as file:
            self.images = round(self.size / max(len(file.readline()), 1))  # rows are of nearly the same length

    def read(self, start: int) -> Iterator[Image]:
        with self.path.open("rb") as file:
            rows = ((number, line) for number, line in enumerate(file, 1) if line.strip())
            for number, line in islice(rows, start, None):
                where = f"{self.path}: line {number}"
                values = line.rstrip(b"\r\n").split(b"\t")
                if len(values) < len(FIELDS):
                    raise UserError(
                        f"{where}: found {len(values)} fields, expected {len(FIELDS)} "
                        f"({' '.join(FIELDS)}); it is cut short"
                    )
                fields = dict(zip(FIELDS, values))
                image = make_image(fields["img_id"].decode(errors="replace"), fields, where)
                if fields["num_boxes"] != str(len(image.boxes)).encode():
                    raise UserError(
                        f"{where}: found {len(image.boxes)} boxes, expected num_boxes "
                        f"{fields['num_boxes'].decode(errors='replace')}; it is cut short"
                    )
                yield image
