"""An image's regions as the sources of the IGLUE release hold them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np

from iglue_plugins.utils.errors import UserError

NO_BOXES = "no boxes"
NOT_FINITE = "features or boxes that are not finite numbers"
NO_SIZE = "a width or height that is not from 1 to 100000 pixels"
NO_INFO = "a .npy without its _info.npy"
OUTSIDE = "with boxes more than a pixel outside of it, kept as they are"
AGAIN = "found a second time with the same regions, stored once"

IMAGE_SUFFIX = re.compile(r"\.(jpe?g|png|gif|bmp|webp|tiff?)$", re.IGNORECASE)


@dataclass(frozen=True)
class Image:
    """features: float32 (n, D); boxes: float32 (n, 4), x1 y1 x2 y2 in pixels; where: its place, for errors.

    left_out: why the image cannot be used, None if it can. noted: what there is to know about it, None if nothing.
    """

    id: str
    where: str
    features: np.ndarray
    boxes: np.ndarray
    width: int = 0
    height: int = 0
    left_out: str | None = None
    noted: str | None = None


class Source(Protocol):
    """Where images are read from, always in the same order.

    path: the file or folder; size: what tells it from another source of its name; images: how many there are, or about
    how many where they are not `counted`.
    """

    path: Path
    size: int
    images: int
    counted: bool

    def read(self, start: int) -> Iterator[Image]:
        """The images but for the first `start`. Raises UserError when the source is not what it should be."""


def make_image(name: str, fields: Mapping[str, Any], where: str) -> Image:
    """An image from its fields features, boxes, img_w and img_h, as VOLTA's reader reads them.

    features, boxes: numbers as an array, or as float32 in base64. How many there are is what `boxes` says: other counts
    in the sources can be lower.

    Raises:
        UserError: a field is missing, is not what it should be, or features and boxes are of different number.
    """
    missing = [field for field in ("features", "boxes", "img_w", "img_h") if fields.get(field) is None]
    if missing:
        raise UserError(f"{where}: found the fields {sorted(fields)}, expected {' and '.join(missing)} too")
    boxes = _numbers(fields["boxes"], f"{where}: boxes")
    if boxes.size % 4:
        raise UserError(f"{where}: found {boxes.size} numbers in boxes, expected 4 for each box")
    boxes = boxes.reshape(-1, 4)
    features = _numbers(fields["features"], f"{where}: features")
    rows = len(features) if features.ndim == 2 else len(boxes)
    if rows != len(boxes) or features.size % max(len(boxes), 1) or bool(features.size) != bool(len(boxes)):
        raise UserError(f"{where}: found features {features.shape} for {len(boxes)} boxes, expected as many for each")
    width, height = (_side(fields[side], f"{where}: {side}") for side in ("img_w", "img_h"))
    features = features.reshape(len(boxes), -1) if len(boxes) else features.reshape(0, 0)
    left_out = _unusable(features, boxes, width, height)
    noted = None if left_out else _noteworthy(boxes, width, height)
    return Image(image_id(name, where), where, features, boxes, width, height, left_out, noted)


def image_id(name: str, where: str) -> str:
    """An image's name without folder and suffix: COCO_val2014_000000000042 of val2014/COCO_val2014_000000000042.jpg."""
    found = IMAGE_SUFFIX.sub("", PurePosixPath(name).name)
    if not found:
        raise UserError(f"{where}: found the image id {name!r}, expected a name")
    return found


def _numbers(value: Any, where: str) -> np.ndarray:
    try:
        if isinstance(value, (str, bytes)):
            return np.frombuffer(base64.b64decode(value, validate=True), dtype=np.float32)
        return np.ascontiguousarray(value, dtype=np.float32)
    except (ValueError, TypeError) as error:  # binascii.Error is a ValueError
        raise UserError(f"{where}: found {error}, expected numbers, or float32 in base64") from error


def _side(value: Any, where: str) -> int:
    try:
        return int(value)
    except (ValueError, TypeError) as error:
        raise UserError(f"{where}: found {value!r}, expected a number of pixels") from error


def _unusable(features: np.ndarray, boxes: np.ndarray, width: int, height: int) -> str | None:
    if not len(boxes):
        return NO_BOXES
    if not (np.isfinite(features).all() and np.isfinite(boxes).all()):
        return NOT_FINITE
    return None if 1 <= min(width, height) <= max(width, height) <= 100_000 else NO_SIZE


def _noteworthy(boxes: np.ndarray, width: int, height: int) -> str | None:
    outside = (boxes < -1).any() or (boxes > np.asarray([width, height, width, height]) + 1).any()
    return OUTSIDE if outside else None
