"""Images with their regions, as the sources of the IGLUE release hold them, and the interface of a source."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np

from iglue_plugins.data.conversion.base64_numbers import decode_numbers
from iglue_plugins.data.stores.objects import Objects
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.text import printable, shown

# Why an image is left out, and what is noted of an image that is stored. A store keeps these words in store.json.
NO_BOXES = "no boxes"
NOT_FINITE = "features or boxes that are not finite numbers"
NO_SIZE = "a width or height that is not from 1 to 100000 pixels"
NO_INFO = "a .npy without its _info.npy"
BOX_OUTSIDE_IMAGE = "with boxes more than a pixel outside of it, kept as they are"
DUPLICATE = "found a second time with the same regions, stored once"

IMAGE_SUFFIX = re.compile(r"\.(jpe?g|png|gif|bmp|webp|tiff?)$", re.IGNORECASE)


@dataclass(frozen=True)
class SourceImage:
    """Holds an image of a source, with its regions.

    Attributes:
        id: The image's id in the store.
        where: The image's place in the source, for errors.
        features: (n, D) float32.
        boxes: (n, 4) float32, x1 y1 x2 y2 in pixels.
        width: The image's width in pixels.
        height: The image's height in pixels.
        left_out: Why the image cannot be stored, or None if it can.
        noted: A peculiarity of the image that a user may want to know of, or None.
        objects: What a detector took the regions for; None where nothing is known of that.
    """

    id: str
    where: str
    features: np.ndarray
    boxes: np.ndarray
    width: int = 0
    height: int = 0
    left_out: str | None = None
    noted: str | None = None
    objects: Objects | None = None


class RegionSource(Protocol):
    """Reads images from a file or folder, always in the same order.

    Attributes:
        path: The file or folder.
        size: A number that tells the source from another one of the same name.
        num_images: The number of images, or an estimate.
        count_is_exact: Whether `num_images` is exact.
    """

    path: Path
    size: int
    num_images: int
    count_is_exact: bool

    def read(self, start: int) -> Iterator[SourceImage]:
        """Reads the images of the source but the first `start`.

        Args:
            start: The number of images to skip.

        Yields:
            The images, those that cannot be stored included.

        Raises:
            UserError: The source is damaged, or an image lacks a field or has a wrong one.
        """


def make_image(name: str, fields: Mapping[str, Any], where: str) -> SourceImage:
    """Makes an image from the fields that VOLTA's reader reads.

    Args:
        name: The image's name in the source.
        fields: features, boxes, img_w and img_h, among others. Features and boxes are numbers as an array, or float32
            in base64. Their number follows from `boxes`: other counts in the sources can be lower.
        where: The image's place in the source, for errors.

    Raises:
        UserError: A field is missing or of a wrong type, or the numbers of features and boxes differ.
    """
    missing = [field for field in ("features", "boxes", "img_w", "img_h") if fields.get(field) is None]
    if missing:
        found = printable(", ".join(sorted(map(str, fields))))
        raise UserError(
            f"{where}: the image has no value for {', '.join(missing)} (its fields are {found}); make the source again"
        )
    boxes = _to_numbers(fields["boxes"], f"{where}: boxes")
    if boxes.size % 4:
        raise UserError(f"{where}: found {boxes.size} numbers in boxes, expected 4 for each box; make the source again")
    boxes = boxes.reshape(-1, 4)
    features = _to_numbers(fields["features"], f"{where}: features")
    rows = len(features) if features.ndim == 2 else len(boxes)
    if rows != len(boxes) or features.size % max(len(boxes), 1) or bool(features.size) != bool(len(boxes)):
        raise UserError(
            f"{where}: features of shape {features.shape} do not fit {len(boxes)} boxes, which need a row each; make "
            "the source again"
        )
    width, height = (_to_pixels(fields[side], f"{where}: {side}") for side in ("img_w", "img_h"))
    features = features.reshape(len(boxes), -1) if len(boxes) else features.reshape(0, 0)
    return check_image(SourceImage(image_id(name, where), where, features, boxes, width, height))


def check_image(image: SourceImage) -> SourceImage:
    """Returns an image with why it cannot be stored, or with its peculiarity, if there is one.

    Args:
        image: An image of which neither is known.
    """
    left_out = _reason_to_leave_out(image.features, image.boxes, image.width, image.height)
    noted = None if left_out else _peculiarity(image.boxes, image.width, image.height)
    return replace(image, left_out=left_out, noted=noted)


def unusable_image(image_id: str, where: str, reason: str) -> SourceImage:
    """Returns an image that is left out.

    Args:
        image_id: The image's id in the store.
        where: The image's place in the source.
        reason: Why it is left out.
    """
    nothing = np.zeros((0, 4), dtype=np.float32)
    return SourceImage(image_id, where, nothing, nothing, left_out=reason)


def image_id(name: str, where: str) -> str:
    """Returns an image's name without folder and suffix.

    Args:
        name: A name such as `val2014/COCO_val2014_000000000042.jpg`, which gives `COCO_val2014_000000000042`.
            Bytes that are not UTF-8 are surrogates in it.
        where: The image's place in the source, for errors.

    Raises:
        UserError: Nothing is left of the name, or it is not UTF-8, as the ids in annotations are.
    """
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{where}: the image's name {printable(name)} is not UTF-8; rename it in UTF-8") from error
    stem = IMAGE_SUFFIX.sub("", PurePosixPath(name).name)
    if not stem:
        raise UserError(f"{where}: the image has the name {name!r}, which leaves no id; name each image in the source")
    return stem


def _to_numbers(value: Any, where: str) -> np.ndarray:
    """Turns an array, or float32 in base64, into a float32 array."""
    if isinstance(value, (str, bytes)):
        return decode_numbers(value, where)
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold becomes infinite, and is left out
            numbers = np.ascontiguousarray(value)
            if numbers.dtype.kind not in "biufO":
                raise TypeError(f"they are of type {numbers.dtype}")
            return numbers.astype(np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(f"{where}: neither numbers nor float32 in base64 ({error}); make the source again") from error


def _to_pixels(value: Any, where: str) -> int:
    """Turns a width or height into a whole number."""
    try:
        return int(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(f"{where}: found {shown(value)}, expected a number of pixels; make the source again") from error


def _reason_to_leave_out(features: np.ndarray, boxes: np.ndarray, width: int, height: int) -> str | None:
    """Returns why an image cannot be stored, or None if it can."""
    if not len(boxes):
        return NO_BOXES
    if not (np.isfinite(features).all() and np.isfinite(boxes).all()):
        return NOT_FINITE
    return None if 1 <= min(width, height) <= max(width, height) <= 100_000 else NO_SIZE


def _peculiarity(boxes: np.ndarray, width: int, height: int) -> str | None:
    """Returns what is noted of an image that can be stored, or None."""
    outside = (boxes < -1).any() or (boxes > np.asarray([width, height, width, height]) + 1).any()
    return BOX_OUTSIDE_IMAGE if outside else None
