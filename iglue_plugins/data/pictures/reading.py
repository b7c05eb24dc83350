"""The reading of one photograph: the right picture, or one sentence that says what is wrong with its file."""

from __future__ import annotations

import io
import logging
import os
import stat
import warnings
from pathlib import Path
from typing import IO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.text import printable

# Formats that photographs come in, all read by Pillow's own decoders. EPS would start Ghostscript, which runs programs.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
FORMAT_NAMES = "JPEG, PNG, WebP, GIF, BMP or TIFF"

# More than any camera's sensor has that a dataset's photograph comes from, 300 MB as RGB; a small file may name more
# than a machine has memory for. It is below the number at which Pillow warns of a decompression bomb and, at twice
# that, refuses.
MAX_PIXELS = 100_000_000

WHITE = (255, 255, 255)
TURNS = {  # what puts a picture upright, by its EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Pillow logs what it notes of a file; without a handler Python prints that where nothing else is configured.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class PictureError(UserError):
    """Says what is wrong with the content of a picture's file.

    Args:
        name: The file.
        reason: What is wrong, without the file and in the same words for like files.
        detail: The value that is wrong, or ''.
        remedy: What to do.

    Attributes:
        reason: As the argument.
    """

    def __init__(self, name: str, reason: str, detail: str, remedy: str) -> None:
        super().__init__(f"{printable(name)}: the picture {reason}{f' ({printable(detail)})' * bool(detail)}; {remedy}")
        self.reason = reason


def read_picture(path: Path, least_side: int | None = None) -> Image.Image:
    """Read a photograph from a file.

    Transparent pixels are put on white, the page that such pictures are drawn for; what their colors hide is arbitrary.
    Sixteen bits are scaled to eight. An orientation in EXIF is applied, a damaged EXIF block is ignored. The first
    frame of an animation is the picture. Color profiles are not applied. A JPEG or another format without checksums
    whose compressed data were changed may decode to wrong pixels, which cannot be told.

    Args:
        path: The file, in one of FORMATS, whatever its name says.
        least_side: The number of pixels that the shorter side is needed with. A larger JPEG may be decoded at a half, a
            quarter or an eighth of its size, which is faster, but never to less than this.

    Returns:
        The picture in mode RGB, upright.

    Raises:
        PictureError: The file's content is no picture, or is damaged, cut short, or of more than MAX_PIXELS.
        UserError: The file is not there or cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UserError(f"{printable(str(path))}: is a folder or device and no picture; remove or rename it")
        with path.open("rb") as file:
            return _decode(file, str(path), least_side)
    except (OSError, ValueError) as error:  # a name with a null character is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{printable(str(path))}: the picture cannot be read ({reason}); check the file") from error


def decode_picture(content: bytes, name: str, least_side: int | None = None) -> Image.Image:
    """Read a photograph from the bytes of a file; see `read_picture`.

    Args:
        content: The bytes.
        name: What the picture is called in errors.
        least_side: The number of pixels that the shorter side is needed with.

    Returns:
        The picture in mode RGB, upright.

    Raises:
        PictureError: The bytes are no picture, or are damaged, cut short, or of more than MAX_PIXELS.
    """
    return _decode(io.BytesIO(content), name, least_side)


def _decode(file: IO[bytes], name: str, least_side: int | None) -> Image.Image:
    if not file.seek(0, os.SEEK_END):
        raise PictureError(name, "is an empty file", "", "copy or download it again")
    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large pictures, odd EXIF blocks, truncated files: none helps the user
        try:
            with Image.open(file, formats=FORMATS) as image:
                _check_size(image, name)
                if least_side is not None:
                    image.draft(None, (least_side, least_side))  # nothing happens but with a JPEG
                image.load()
                return _upright(_to_rgb(image, name), image)
        except UserError:
            raise
        except UnidentifiedImageError as error:
            reason = f"has no format of a photograph ({FORMAT_NAMES}), or is damaged at its beginning"
            raise PictureError(name, reason, "", "copy, download or save it again") from error
        except Image.DecompressionBombError as error:
            raise _too_large(name, "") from error
        # Pillow's decoders raise errors of any kind for damaged files. An error of the disk has a number.
        except Exception as error:
            if getattr(error, "errno", None) is not None:
                raise
            detail = f"{type(error).__name__}: {error}"[:200]
            raise PictureError(name, "is damaged or cut short", detail, "copy or download it again") from error


def _check_size(image: Image.Image, name: str) -> None:
    """Check the size that the file's header names, before anything is decoded."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_large(name, f"{width} x {height}")
    if width < 1 or height < 1:
        raise PictureError(name, "has no pixels", f"{width} x {height}", "copy or download it again")


def _too_large(name: str, size: str) -> PictureError:
    return PictureError(
        name, f"has more than the {MAX_PIXELS:,} pixels that are read", size, "save a smaller copy, or leave it out"
    )


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode.startswith("I"):
        image = _to_8_bits(image, name)
    elif image.mode == "F":
        raise _no_colors(image, name)
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    page = Image.new("RGB", layer.size, WHITE)
    page.paste(layer, mask=layer.getchannel("A"))
    return page


def _to_8_bits(image: Image.Image, name: str) -> Image.Image:
    """Scale 16-bit gray values to 8 bits; Pillow's own conversion clips them at 255."""
    values = np.asarray(image)
    if not image.mode.startswith("I;16") and not (image.format == "PNG" and 0 <= values.min() <= values.max() < 2**16):
        raise _no_colors(image, name)
    return Image.fromarray(((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8))


def _no_colors(image: Image.Image, name: str) -> PictureError:
    return PictureError(name, "holds numbers of 32 bits", f"mode {image.mode}", "save it with 8 or 16 bits a color")


def _upright(picture: Image.Image, image: Image.Image) -> Image.Image:
    """Turn a picture as its file's EXIF block says; a block that cannot be read says nothing."""
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # as for damaged files
        return picture
    return picture if turn is None else picture.transpose(turn)
