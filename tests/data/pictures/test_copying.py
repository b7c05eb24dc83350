"""Compact copies of folders of pictures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iglue_plugins.data.pictures import copying
from iglue_plugins.data.pictures.copying import SETTINGS_FILE, copy_pictures
from iglue_plugins.utils.errors import UserError


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """A smooth picture: noise would not survive a JPEG."""
    noise = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "s" / "deep").mkdir(parents=True)
    picture(400, 300).save(folder / "s" / "a.png")
    picture(300, 400).save(folder / "s" / "b.c.JPG", "JPEG")
    picture(90, 60).save(folder / "s" / "deep" / "d.webp")
    picture(300, 200).save(folder / "e.tiff")
    (folder / "s" / "notes.txt").write_text("no picture")
    (folder / "s" / "._a.jpg").write_bytes(b"what a Mac leaves in archives")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_copy(source: Path, tmp_path: Path, jobs: int) -> None:
    copy = tmp_path / "copy"
    report = copy_pictures(source, copy, 100, jobs)
    assert (report.pictures, report.written, report.failed) == (4, 4, {})
    sizes = {"e.jpg": (150, 100), "s/a.jpg": (133, 100), "s/b.c.jpg": (100, 133), "s/deep/d.jpg": (90, 60)}
    assert files(copy).keys() == {SETTINGS_FILE, *sizes}
    for name, size in sizes.items():
        with Image.open(copy / name) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", size)
    expected = np.asarray(picture(400, 300).resize((133, 100), Image.Resampling.LANCZOS), dtype=int)
    with Image.open(copy / "s/a.jpg") as image:
        assert np.abs(np.asarray(image, dtype=int) - expected).mean() < 4


def test_a_second_call_does_what_is_missing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "copy"
    copy_pictures(source, copy, 100)
    whole = files(copy)
    (copy / "s" / "a.jpg").unlink()
    times = {path: path.stat().st_mtime_ns for path in copy.rglob("*.jpg")}
    report = copy_pictures(source, copy, 100)
    assert (report.pictures, report.written) == (4, 1)
    assert files(copy) == whole
    assert {path: path.stat().st_mtime_ns for path in times} == times
    monkeypatch.setattr(copying, "read_picture", None)
    assert copy_pictures(source, copy, 100).written == 0


def test_a_picture_is_upright_in_the_copy(source: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(400, 300).save(source / "turned.jpg", exif=exif)
    copy_pictures(source, tmp_path / "copy", 150)
    with Image.open(tmp_path / "copy" / "turned.jpg") as image:
        assert (image.size, dict(image.getexif())) == ((150, 200), {})


@pytest.mark.parametrize("jobs", [1, 2])
def test_pictures_that_cannot_be_read(source: Path, tmp_path: Path, jobs: int) -> None:
    damaged = source / "s" / "b.c.JPG"
    damaged.write_bytes(damaged.read_bytes()[:500])
    report = copy_pictures(source, tmp_path / "copy", 100, jobs)
    assert (report.pictures, report.written) == (4, 3)
    assert list(report.failed) == [damaged]
    assert report.failed[damaged].startswith(f"{damaged}: the picture is damaged or cut short")
    assert not (tmp_path / "copy" / "s" / "b.c.jpg").exists()


def test_a_picture_that_is_too_long_for_a_jpeg(source: Path, tmp_path: Path) -> None:
    Image.new("L", (70_000, 2)).save(source / "long.png")
    report = copy_pictures(source, tmp_path / "copy", 100)
    assert report.written == 4
    assert "longer side of more than the 65,500 pixels" in report.failed[source / "long.png"]


def test_links_to_folders_are_followed_once(source: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    picture(50, 50).save(tmp_path / "elsewhere" / "x.jpg")
    (source / "linked").symlink_to(tmp_path / "elsewhere")
    (source / "s" / "loop").symlink_to(source)
    assert copy_pictures(source, tmp_path / "copy", 100).pictures == 5
    assert (tmp_path / "copy" / "linked" / "x.jpg").exists()


def error(source: Path, folder: Path, size: int = 100) -> str:
    with pytest.raises(UserError) as raised:
        copy_pictures(source, folder, size)
    return str(raised.value)


def test_what_is_refused(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    assert error(tmp_path / "none", copy).startswith(f"{tmp_path / 'none'}: is no folder")
    (tmp_path / "empty").mkdir()
    assert error(tmp_path / "empty", copy).startswith(f"{tmp_path / 'empty'}: holds no pictures (.jpg, ")
    for folder in (source, source / "copy", tmp_path):
        assert error(source, folder).startswith(f"{folder}: lies in {source}, or around it")
    assert "the folder holds other files" in error(source, Path(__file__).parent)
    copy_pictures(source, copy, 100)
    assert error(source, copy, 120).startswith(f"{copy}: holds pictures of size 100 and quality 90, not 120 and 90")
    (copy / SETTINGS_FILE).write_text("{")
    assert error(source, copy).startswith(f"{copy / SETTINGS_FILE}: cannot be read (")
    picture(9, 9).save(source / "s" / "a.jpg")
    assert "a.jpg and a.png would both become a.jpg" in error(source, copy)


def test_a_folder_that_cannot_be_written_ends_the_copy(source: Path, tmp_path: Path) -> None:
    copy_pictures(source, tmp_path / "copy", 100)
    (tmp_path / "copy" / "s" / "a.jpg").unlink()
    (tmp_path / "copy" / "s" / "deep" / "d.jpg").unlink()
    (tmp_path / "copy" / "s" / "deep").rmdir()
    (tmp_path / "copy" / "s" / "deep").write_text("a file where a folder is needed")
    assert "d.jpg: cannot be written" in error(source, tmp_path / "copy")
    assert (tmp_path / "copy" / "s" / "a.jpg").exists()


def start_copy(tmp_path: Path, source: Path, jobs: int) -> subprocess.Popen:
    program = [sys.executable, "-m", "iglue_plugins"]
    command = [*program, "data", "pictures", source, tmp_path / "copy", "--size=300", f"--jobs={jobs}"]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    while len(list((tmp_path / "copy").glob("*.jpg"))) < 4:
        assert process.poll() is None
        time.sleep(0.01)
    return process


@pytest.fixture
def many(tmp_path: Path) -> Path:
    folder = tmp_path / "many"
    folder.mkdir()
    picture(1000, 800).save(folder / "0.png", compress_level=1)
    for number in range(1, 80):
        os.link(folder / "0.png", folder / f"{number}.png")
    return folder


def group_is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(("stop", "jobs"), [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGKILL, 2)])
def test_a_copy_that_is_stopped_continues(many: Path, tmp_path: Path, stop: signal.Signals, jobs: int) -> None:
    process = start_copy(tmp_path, many, jobs)
    if stop == signal.SIGINT:
        os.killpg(process.pid, stop)  # as the terminal does
    else:
        process.kill()  # the main process alone: the others have to end too
    _, err = process.communicate(timeout=60)
    if stop == signal.SIGINT:
        assert (process.returncode, err) == (130, "iglue: interrupted; the same command resumes\n")
        assert not list((tmp_path / "copy").glob(".*.tmp"))
    deadline = time.monotonic() + 30
    while not group_is_gone(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    done = len(list((tmp_path / "copy").glob("*.jpg")))
    assert 4 <= done < 80
    report = copy_pictures(many, tmp_path / "copy", 300)
    assert (report.pictures, report.written) == (80, 80 - done)
    assert len({path.read_bytes() for path in (tmp_path / "copy").glob("*.jpg")}) == 1
