"""Mutated files of pictures: a picture or one sentence, and nothing printed."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutated_bytes, read_or_refuse
from PIL import Image

from iglue_plugins.data.pictures.reading import decode_picture

RNG = np.random.default_rng(0)
NOISE = Image.fromarray(RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8))
GRAY_16 = Image.fromarray(RNG.integers(0, 2**16, (24, 32), dtype=np.uint16))


def exif() -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = 6
    block[0x010E] = "a description"
    return block


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


FILES = {
    "jpeg": saved(NOISE, "JPEG", exif=exif()),
    "progressive": saved(NOISE, "JPEG", progressive=True),
    "cmyk": saved(NOISE.convert("CMYK"), "JPEG"),
    "mpo": saved(NOISE, "MPO", save_all=True, append_images=[NOISE]),
    "png": saved(NOISE.convert("RGBA"), "PNG", exif=exif()),
    "palette": saved(NOISE.quantize(8), "PNG", transparency=3),
    "png16": saved(GRAY_16, "PNG"),
    "webp": saved(NOISE, "WEBP", exif=exif()),
    "gif": saved(NOISE, "GIF", save_all=True, append_images=[NOISE.rotate(180)]),
    "bmp": saved(NOISE, "BMP"),
    "tiff": saved(NOISE, "TIFF", exif=exif()),
    "tiff_lzw": saved(NOISE, "TIFF", compression="tiff_lzw"),
    "tiff_jpeg": saved(NOISE, "TIFF", compression="jpeg"),
    "tiff16": saved(GRAY_16, "TIFF"),
}


def check(content: bytes) -> None:
    picture = read_or_refuse(lambda: decode_picture(content, "photo", least_side=8))
    if picture is not None:
        assert picture.mode == "RGB"
        assert np.asarray(picture).shape == (picture.height, picture.width, 3)


@pytest.mark.parametrize("kind", FILES)
def test_a_mutated_picture(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    @given(st.data())
    def run(data: st.DataObject) -> None:
        check(data.draw(mutated_bytes(FILES[kind])))

    silently(kind, run, capfd)


@pytest.mark.parametrize("kind", FILES)
def test_every_beginning_of_a_picture(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    content = FILES[kind]
    silently(kind, lambda: [check(content[:end]) for end in range(0, len(content), 7)], capfd)


def silently(kind: str, run: Callable[[], object], capfd: pytest.CaptureFixture[str]) -> None:
    run()
    out, err = capfd.readouterr()
    assert out == ""
    assert err == "" or kind.startswith("tiff")  # there libtiff, a library in C, prints what it found itself
