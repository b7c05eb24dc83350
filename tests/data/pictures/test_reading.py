"""Photographs of every kind, and files that are none."""

from __future__ import annotations

import io
import logging
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from iglue_plugins.data.pictures import reading
from iglue_plugins.data.pictures.reading import PictureError, decode_picture, read_picture
from iglue_plugins.utils.errors import UserError

RED, GREEN, BLUE, GRAY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)
TOLERANCE = 6  # of a level, after JPEG


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def corners(width: int = 48, height: int = 32) -> Image.Image:
    """Quarters of red, green (right), blue (below) and gray, so that every turn and mirroring shows."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    image.paste(GRAY, (width // 2, height // 2, width, height))
    return image


def quarter_colors(picture: Image.Image) -> list[tuple[int, ...]]:
    """The colors in the middle of the quarters, row by row."""
    width, height = picture.size
    return [picture.getpixel((width * x // 4, height * y // 4)) for y in (1, 3) for x in (1, 3)]


def assert_corners(content: bytes, tolerance: int = TOLERANCE) -> None:
    picture = decode_picture(content, "photo")
    assert (picture.mode, picture.size) == ("RGB", (48, 32))
    np.testing.assert_allclose(quarter_colors(picture), [RED, GREEN, BLUE, GRAY], atol=tolerance)


def sentence(content: bytes) -> str:
    with pytest.raises(PictureError) as error:
        decode_picture(content, "folder/photo.jpg")
    assert str(error.value).startswith("folder/photo.jpg: the picture ")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_each_format(format: str) -> None:
    assert_corners(saved(corners(), format), tolerance=12)


MODES = {"JPEG": ["RGB", "CMYK", "YCbCr"], "PNG": ["RGB", "RGBA", "P"], "TIFF": ["RGB", "RGBA", "P", "CMYK", "YCbCr"]}


@pytest.mark.parametrize(("format", "mode"), [(format, mode) for format, modes in MODES.items() for mode in modes])
def test_each_mode(format: str, mode: str) -> None:
    image = corners().quantize() if mode == "P" else corners().convert(mode)
    assert_corners(saved(image, format, **({"quality": 95} if format == "JPEG" else {})))


def test_cmyk_of_a_jpeg_is_inverted_as_adobe_has_it() -> None:
    content = saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    assert b"Adobe" in content
    np.testing.assert_allclose(decode_picture(content, "x").getpixel((8, 8)), RED, atol=TOLERANCE)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("byte_order", ["<u2", ">u2"])
def test_16_bit_gray_is_scaled(format: str, byte_order: str) -> None:
    levels = np.asarray([[0, 257 * 10, 257 * 128, 65535]], dtype=np.uint16)
    image = Image.fromarray(levels.astype(byte_order))
    picture = decode_picture(saved(image, format), "x")
    assert [picture.getpixel((x, 0)) for x in range(4)] == [(v, v, v) for v in (0, 10, 128, 255)]


def test_16_bit_colors_are_scaled() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0))
    pixel = chunk(b"IDAT", zlib.compress(b"\0" + struct.pack(">HHH", 65535, 257 * 100, 0)))
    png = b"\x89PNG\r\n\x1a\n" + header + pixel + chunk(b"IEND", b"")
    assert decode_picture(png, "x").getpixel((0, 0)) == (255, 100, 0)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bit_numbers_are_refused(mode: str) -> None:
    assert "holds numbers of 32 bits" in sentence(saved(Image.new(mode, (4, 4)), "TIFF"))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(mode: str) -> None:
    image = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    image.paste((200, 200, 200, 255), (10, 0, 20, 10))
    options = {}
    if mode == "P":
        image = Image.new("P", (20, 10), 0)
        image.putpalette([0, 0, 0, 200, 200, 200])
        image.paste(1, (10, 0, 20, 10))
        options["transparency"] = 0
    picture = decode_picture(saved(image.convert(mode), "PNG", **options), "x")
    assert (picture.getpixel((2, 2)), picture.getpixel((15, 2))) == ((255, 255, 255), (200, 200, 200))


def test_half_transparent_pixels_are_mixed_with_white() -> None:
    png = saved(Image.new("RGBA", (4, 4), (0, 0, 0, 128)), "PNG")
    np.testing.assert_allclose(decode_picture(png, "x").getpixel((1, 1)), (127, 127, 127), atol=1)


def test_a_color_that_stands_for_transparency_is_white() -> None:
    png = saved(Image.new("RGB", (4, 4), (1, 2, 3)), "PNG", transparency=(1, 2, 3))
    assert decode_picture(png, "x").getpixel((1, 1)) == (255, 255, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation(orientation: int, format: str) -> None:
    """The pixels are stored as a camera would in this orientation; the picture has to be upright again."""
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the inverse of each turn, by Pillow's numbers
    stored = corners().transpose(Image.Transpose(back[orientation])) if orientation > 1 else corners()
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_corners(saved(stored, format, exif=exif), tolerance=12)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_does_not_exist(value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    assert_corners(saved(corners(), "JPEG", exif=exif))


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\0\0", b"Exif\0\0nonsense" * 9])
def test_a_broken_exif_block_is_ignored(exif: bytes) -> None:
    assert_corners(saved(corners(), "JPEG", exif=exif))


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_an_animation(format: str) -> None:
    others = [Image.new("RGB", (48, 32), color) for color in (BLUE, GREEN)]
    assert_corners(saved(corners(), format, save_all=True, append_images=others), tolerance=12)


def test_a_jpeg_of_two_pictures_as_phones_write_it() -> None:
    mpo = saved(corners(), "MPO", save_all=True, append_images=[Image.new("RGB", (48, 32), BLUE)])
    assert_corners(mpo)


def png_header(width: int, height: int) -> bytes:
    data = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + data + struct.pack(">I", zlib.crc32(data)) + b"\0\0\0\0IDAT"


@pytest.mark.parametrize("size", [(10_001, 10_000), (30_000, 30_000), (2**31 - 1, 2**31 - 1)])
def test_a_decompression_bomb_is_refused_by_its_header(size: tuple[int, int]) -> None:
    assert "has more than the 100,000,000 pixels that are read" in sentence(png_header(*size))


def test_a_limit_of_pillow_that_a_user_has_lifted_does_not_lift_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert "(30000 x 30000)" in sentence(png_header(30_000, 30_000))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_file_that_is_cut_short(format: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    content = saved(noise, format)
    for share in (0.3, 0.6, 0.9):
        assert "is damaged" in sentence(content[: int(len(content) * share)])


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_text("<html>404 Not Found</html>")
    with pytest.raises(PictureError, match="has no format of a photograph"):
        read_picture(path)
    path.write_bytes(b"")
    with pytest.raises(PictureError, match=f"^{path}: the picture is an empty file; copy or download it again$"):
        read_picture(path)
    path.unlink()
    with pytest.raises(UserError, match=f"^{path}: the picture cannot be read .No such file or directory."):
        read_picture(path)
    path.mkdir()
    with pytest.raises(UserError, match=f"^{path}: is a folder or device"):
        read_picture(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "photo.jpg")
    with pytest.raises(UserError, match="is a folder or device"):
        read_picture(tmp_path / "photo.jpg")


@pytest.mark.parametrize("format", ["EPS", "ICO", "PPM", "TGA", "PDF"])
def test_formats_of_no_photograph_are_refused(format: str) -> None:
    """EPS among them, for which Pillow would start Ghostscript."""
    assert "has no format of a photograph" in sentence(saved(corners(), format))


def test_a_name_is_shown_in_one_line() -> None:
    with pytest.raises(PictureError, match=r"^a\\x0ab: the picture is an empty file"):
        decode_picture(b"", "a\nb")


@pytest.mark.parametrize(
    ("least", "size"), [(None, (800, 600)), (600, (800, 600)), (301, (800, 600)), (300, (400, 300))]
)
def test_a_jpeg_may_be_decoded_at_less_than_its_size(least: int | None, size: tuple[int, int]) -> None:
    assert decode_picture(saved(corners(800, 600), "JPEG"), "x", least).size == size


@pytest.mark.parametrize("size", [(97, 64), (640, 427), (1001, 333), (64, 64), (30, 500)])
@pytest.mark.parametrize("least", [1, 31, 64, 200])
def test_no_less_than_the_least_side(size: tuple[int, int], least: int) -> None:
    found = decode_picture(saved(corners(*size), "JPEG"), "x", least).size
    assert min(found) >= min(least, *size)
    assert found[0] / found[1] == pytest.approx(size[0] / size[1], rel=0.2)
    assert decode_picture(saved(corners(*size), "PNG"), "x", least).size == size


def test_warnings_and_logs_of_pillow_reach_nobody(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Warnings are errors in these tests."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # 48 x 32 is above it and below its double
    assert_corners(saved(corners(), "JPEG"))
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's, without which Python's last resort prints
    logging.getLogger("PIL.TiffImagePlugin").error("More samples per pixel than can be decoded")
    assert capfd.readouterr().err == ""


def test_all_formats_are_there() -> None:
    """A Pillow without WebP would say of each WebP file that it has no format of a photograph."""
    assert features.check("webp")
    assert set(reading.FORMATS) == {"JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"}
