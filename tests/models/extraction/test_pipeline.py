"""From pictures to stores by any extractor: the same bytes each time, interruptions, and what is left out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_detector import NOTHING_THERE, TOO_SMALL, FakeDetector
from PIL import Image

from iglue_plugins.data.checking import check_store
from iglue_plugins.data.conversion import store_writer
from iglue_plugins.data.pictures.folder import PictureFolder
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.models.extraction import pipeline
from iglue_plugins.models.extraction.base import PreparedPicture
from iglue_plugins.models.extraction.pictures import FolderPictures, SourcePictures
from iglue_plugins.models.extraction.pipeline import StoreOptions, extract_one, make_store, parse_jobs
from iglue_plugins.utils.errors import UserError

HELPERS = Path(__file__).parents[2] / "helpers"


def options(batch_size: int = 2, jobs: int = 1, dtype: str = "float32") -> StoreOptions:
    return StoreOptions(batch_size, "cpu", "float32", dtype, jobs)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_store_says_what_its_regions_are(photos: Path, tmp_path: Path) -> None:
    detector = FakeDetector()
    metadata, is_new = make_store(FolderPictures(photos), tmp_path / "store", detector, options())
    assert is_new and metadata.extraction.preset == "four"
    store = MappedRegions(tmp_path / "store")
    assert check_store(store.folder) == []
    objects = store.objects()
    assert (objects.names.classes, objects.names.attributes) == (detector.class_names, detector.attribute_names)
    for position, name in enumerate("0123456"):
        with Image.open(photos / f"{name}.png") as picture:
            (expected,) = detector.extract([detector.prepare(picture)])
        found = objects.image(position)
        np.testing.assert_array_equal(found.classes, expected.classes)
        np.testing.assert_array_equal(found.scores, expected.scores)
        np.testing.assert_array_equal(found.attributes, expected.attributes)
        np.testing.assert_array_equal(found.attribute_scores, expected.attribute_scores)
        np.testing.assert_array_equal(store.features(position)[1:], expected.features)
        np.testing.assert_array_equal(store.boxes(position), expected.boxes)
    attribute, *words = objects.names.label(objects.image(0), 0).split()
    assert attribute in detector.attribute_names and words == ["north", f"{objects.image(0).scores[0]:.2f}"]


def test_a_detector_without_attributes(photos: Path, tmp_path: Path) -> None:
    make_store(FolderPictures(photos), tmp_path / "store", FakeDetector(attributes=False), options())
    store = MappedRegions(tmp_path / "store")
    found = store.objects().image(3)
    assert (found.classes.tolist(), found.attributes, found.attribute_scores) == ([0, 1, 2, 3], None, None)
    assert store.objects().names.label(found, 1) == f"east {found.scores[1]:.2f}"
    assert check_store(store.folder) == []


def test_the_same_bytes_whatever_the_number_of_processes(photos: Path, tmp_path: Path) -> None:
    (photos / "3.png").write_text("no picture")
    detector = FakeDetector(by_batch=True)
    for jobs in (1, 2, 3):
        make_store(FolderPictures(photos), tmp_path / str(jobs), detector, options(jobs=jobs))
    assert files(tmp_path / "1") == files(tmp_path / "2") == files(tmp_path / "3")


def test_for_a_gpu_other_processes_read_and_the_model_stays_here(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store(FolderPictures(photos), tmp_path / "cpu", FakeDetector(by_batch=True), options())
    monkeypatch.setattr(pipeline, "parse_device", lambda name: torch.device("cuda"))
    main, prepare, extract = os.getpid(), FakeDetector.prepare, FakeDetector.extract

    def prepare_elsewhere(self: FakeDetector, picture: Image.Image) -> PreparedPicture:
        assert os.getpid() != main
        return prepare(self, picture)

    def extract_here(self: FakeDetector, pictures: list) -> list:
        assert os.getpid() == main
        return extract(self, pictures)

    monkeypatch.setattr(FakeDetector, "prepare", prepare_elsewhere)
    monkeypatch.setattr(FakeDetector, "extract", extract_here)
    make_store(FolderPictures(photos), tmp_path / "gpu", FakeDetector(by_batch=True), options(jobs=2))
    assert files(tmp_path / "cpu") == files(tmp_path / "gpu")


def test_a_finished_store_is_not_made_again(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = make_store(FolderPictures(photos), tmp_path / "store", FakeDetector(), options())
    monkeypatch.setattr(FakeDetector, "extract", None)
    assert make_store(FolderPictures(photos), tmp_path / "store", FakeDetector(), options()) == (first, False)
    with pytest.raises(UserError, match="found a store of float32 from photos .* preset four, .* preset five, "):
        make_store(FolderPictures(photos), tmp_path / "store", FakeDetector(preset="five"), options())


def test_what_is_left_out(photos: Path, tmp_path: Path) -> None:
    (photos / "1.png").write_text("no picture")
    Image.new("RGB", (40, 30)).save(photos / "3.png")
    Image.new("RGB", (40, 10), "red").save(photos / "5.png")
    for jobs in (1, 2):
        metadata, _ = make_store(FolderPictures(photos), tmp_path / str(jobs), FakeDetector(), options(jobs=jobs))
        reason = next(iter(metadata.left_out))
        assert reason.startswith("the picture has no format of a photograph")
        assert metadata.left_out == {reason: ("1",), NOTHING_THERE: ("3",), TOO_SMALL: ("5",)}
    store = MappedRegions(tmp_path / "2")
    assert store.ids == list("0246")
    assert check_store(store.folder) == []
    with pytest.raises(UserError, match="3.png: has no regions \\(too few boxes\\); choose another picture"):
        extract_one(FakeDetector(), FolderPictures(photos).picture(3), str(photos / "3.png"))


def test_the_pictures_of_a_task(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "shelf").symlink_to(photos)
    pictures = SourcePictures(PictureFolder(tmp_path / "pictures"), ["shelf/0", "shelf/2"], "shelf/", "task/test")
    (photos / "2.png").write_text("no picture")
    metadata, _ = make_store(pictures, tmp_path / "store", FakeDetector(), options())
    assert MappedRegions(tmp_path / "store").ids == ["0"]
    assert [*metadata.left_out.values()] == [("2",)]
    assert [source.model_dump() for source in metadata.sources] == [{"name": "task/test", "size": 2}]


# Interruptions

WORK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from fake_detector import FakeDetector
from iglue_plugins.data.conversion import store_writer
from iglue_plugins.models.extraction.pictures import FolderPictures
from iglue_plugins.models.extraction.pipeline import StoreOptions, make_store

store_writer.IMAGES_PER_TABLE = 3
detector = FakeDetector(size=30_000, by_batch=True, seconds=0.05)
options = StoreOptions(2, "cpu", "float32", "float32", int(sys.argv[4]))
make_store(FolderPictures(Path(sys.argv[2])), Path(sys.argv[3]), detector, options)
"""


@pytest.fixture
def many(tmp_path: Path) -> Path:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(60):
        Image.new("RGB", (30 + number, 40), (number + 1, 200, 100)).save(folder / f"{number:02}.png")
    return folder


def group_is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(
    ("stop", "jobs"), [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGKILL, 1), (signal.SIGKILL, 2)]
)
def test_a_detection_that_is_stopped_continues(many: Path, tmp_path: Path, stop: signal.Signals, jobs: int) -> None:
    """Results are larger than a pipe holds, so that a process that is left behind would wait in the midst of one."""
    command = [sys.executable, "-c", WORK, HELPERS, many, tmp_path / "store", str(jobs)]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    while len(list((tmp_path / "store" / "unfinished").glob("*.parquet"))) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    if stop == signal.SIGINT:
        os.killpg(process.pid, stop)  # as the terminal does
    else:
        process.kill()  # the main process alone: the others have to end too
    process.wait(timeout=90)
    deadline = time.monotonic() + 90  # a machine may be busy; a process that is left behind stays forever
    while not group_is_gone(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with pytest.raises(UserError, match="the store is unfinished"):
        MappedRegions(tmp_path / "store")

    detector = FakeDetector(size=30_000, by_batch=True)
    make_store(FolderPictures(many), tmp_path / "store", detector, options(jobs=jobs))
    make_store(FolderPictures(many), tmp_path / "at once", detector, options())
    assert files(tmp_path / "store") == files(tmp_path / "at once")


def test_a_process_that_is_killed_is_told_in_a_sentence(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main, extract = os.getpid(), FakeDetector.extract

    def killed(self: FakeDetector, pictures: list) -> list:
        if os.getpid() != main and pictures[0].size == (200, 90):
            os.kill(os.getpid(), signal.SIGKILL)
        return extract(self, pictures)

    with monkeypatch.context() as patch:
        patch.setattr(FakeDetector, "extract", killed)
        with pytest.raises(UserError, match="a process that works for this one was killed, perhaps for want of memory"):
            make_store(FolderPictures(photos), tmp_path / "store", FakeDetector(), options(jobs=2))
    make_store(FolderPictures(photos), tmp_path / "store", FakeDetector(), options(jobs=2))
    make_store(FolderPictures(photos), tmp_path / "at once", FakeDetector(), options())
    assert files(tmp_path / "store") == files(tmp_path / "at once")


def test_what_takes_long_is_kept_before_there_are_many(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_writer, "SECONDS_PER_TABLE", 0)
    kept, extract = [], FakeDetector.extract

    def record(self: FakeDetector, pictures: list) -> list:
        kept.append(len(list((tmp_path / "store" / "unfinished").glob("*.parquet"))))
        return extract(self, pictures)

    monkeypatch.setattr(FakeDetector, "extract", record)
    make_store(FolderPictures(photos), tmp_path / "store", FakeDetector(), options())
    assert kept == [0, 2, 4, 6]


# Options


def test_numbers_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (parse_jobs("auto"), parse_jobs("3")) == ("auto", 3)
    for wrong in ("0", "-1", "two", "1.5", "", "²"):
        with pytest.raises(UserError, match="^--jobs: found '.*'; give a number of processes of at least 1, or auto$"):
            parse_jobs(wrong)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    for memory, expected in ((100, 8), (11, 4), (1, 1)):
        pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": memory * 2**30 // 4096}
        monkeypatch.setattr(os, "sysconf", pages.__getitem__)
        assert pipeline._computing_jobs("auto") == expected
        assert pipeline._computing_jobs(20) == 20
