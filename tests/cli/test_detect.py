"""`iglue data detect`, `iglue data export` and `iglue data show --image`, with a detector that has no network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from fake_detector import FakeDetector, save_photos
from PIL import Image

from iglue_plugins.data.checking import check_store
from iglue_plugins.data.conversion import store_writer
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.data.stores.region_stores import RegionStores
from iglue_plugins.models.detector import loading


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What the detector is loaded with."""
    calls: list[tuple] = []

    def load(*given: Any) -> FakeDetector:
        calls.append(given)
        return FakeDetector(preset=given[1] or "four")

    monkeypatch.setattr(loading, "load_detector", load)
    return calls


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return save_photos(tmp_path / "photos")


def test_detect(iglue: Callable, photos: Path, tmp_path: Path, loaded: list[tuple]) -> None:
    (photos / "1.png").write_text("no picture")
    arguments = ("data", "detect", photos, tmp_path / "store", "--device", "cpu")
    ended = iglue(*arguments)
    told = "2 images, 8 boxes of 8 features, float16\n"
    assert (ended.code, ended.out) == (0, f"{tmp_path / 'store'}: {told}")
    assert ended.err.startswith("iglue: left out 1 image (1): the picture has no format of a photograph")
    assert iglue(*arguments).out == f"{tmp_path / 'store'}: already detected, {told}"
    assert check_store(tmp_path / "store") == []
    assert [str(value) for value in loaded[0]] == ["vg-r101", "None", "None", "None", "float32", "cpu", "None"]


def test_options_of_the_detector(iglue: Callable, photos: Path, tmp_path: Path, loaded: list[tuple]) -> None:
    options = ("--detector", "a/b", "--preset", "five", "--weights", "w", "--revision", "r", "--boxes", 9)
    ended = iglue(
        "data",
        "detect",
        photos,
        tmp_path / "store",
        *options,
        "--precision",
        "bfloat16",
        "--dtype",
        "float32",
        "--jobs",
        2,
    )
    assert (ended.code, ended.out) == (0, f"{tmp_path / 'store'}: 3 images, 12 boxes of 8 features, float32\n")
    assert loaded[0][:5] == ("a/b", "five", "w", "r", "bfloat16") and loaded[0][6] == 9


def test_the_pictures_of_a_task(iglue: Callable, tmp_path: Path, loaded: list[tuple]) -> None:
    """The task then finds the regions of its images where it looks for them."""
    data = tmp_path / "data"
    for language, image in (("fr", "0"), ("ru", "1"), ("es", "7")):
        path = data / "datasets" / "XVNLI" / "annotations" / language / "test.jsonl"
        path.parent.mkdir(parents=True)
        row = {"gold_label": "neutral", "sentence1": "a", "sentence2": "b", "pairID": "1", "Flikr30kID": f"{image}.jpg"}
        path.write_text(json.dumps(row) + "\n")
    save_photos(data / "pictures" / "flickr30k")
    chosen = ("--task", "xvnli", "--split", "test", "--data-root", data, "--set", f"pictures={data / 'pictures'}")
    ended = iglue("data", "detect", data / "regions", *chosen)
    assert (ended.code, ended.out) == (
        0,
        f"{data / 'regions' / 'flickr30k'}: 2 images, 8 boxes of 8 features, float16\n",
    )
    assert "iglue: flickr30k: 3 images, 1 image (flickr30k/7) without pictures" in ended.err.splitlines()
    regions = RegionStores(data / "regions")
    assert regions.box_counts(regions.index(["flickr30k/0", "flickr30k/1"])).tolist() == [4, 4]
    checked = iglue("data", "check", "xvnli", "--data-root", data).out
    assert "test fr ru: flickr30k: 1 images, all have features" in checked
    assert "flickr30k: nothing is damaged" in checked


def test_the_pictures_of_ones_own_data(iglue: Callable, tmp_path: Path, loaded: list[tuple]) -> None:
    data = tmp_path / "data"
    save_photos(data / "photos" / "dogs")
    rows = [
        {"id": str(n), "image": f"dogs/{n}", "text": "t", "language": "en", "split": "test", "label": "neutral"}
        for n in range(3)
    ]
    (data / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (data / "task.yaml").write_text(yaml.safe_dump({"pictures": "photos", "regions": "regions"}))
    ended = iglue("data", "detect", data / "regions", "--task", "custom/nli", "--data-root", data)
    assert (ended.code, ended.err) == (0, "")
    assert MappedRegions(data / "regions").ids == ["dogs/0", "dogs/1", "dogs/2"]
    assert (
        "test en: images: 3 images, all have features" in iglue("data", "check", "custom/nli", "--data-root", data).out
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photos"], "photos: found 1 paths, expected SOURCE and STORE"),
        (["photos", "s", "t"], "photos s t: found 3 paths, expected SOURCE and STORE"),
        (["photos", "s", "--task", "xvnli"], "photos s: found 2 paths, expected STORE alone, since the pictures are"),
        (["photos", "s", "--split", "test"], "--split: is of a task; name one by --task, or leave the option out"),
        (["photos", "s", "--set", "hub=true"], "--set: is of a task; name one by --task"),
        (
            ["photos", "s.h5"],
            "s.h5: a store is a folder, which an interrupted detection can go on with; name one, such",
        ),
        (["photos", "s", "--jobs", "many"], "--jobs: found 'many'; give a number of processes of at least 1, or auto"),
        (["photos", "s", "--device", "abacus"], "--device: 'abacus' cannot be used"),
        (["photos", "s", "--precision", "bf16"], "--precision: found 'bf16'; did you mean 'bfloat16'?"),
        (["photos", "s", "--dtype", "f16"], "--dtype: found 'f16'; did you mean 'float16'?"),
        (["none", "s"], "none: cannot be read (No such file or directory); name the folder with the pictures"),
        (["s", "--task", "xvnly"], "there is no task 'xvnly'"),
        (["s", "--task", "xvnli", "--set", "picture=x"], "task xvnli: picture: "),
        (
            ["s", "--task", "xvnli", "--set", "pictures"],
            "override 'task.pictures': found 'task.pictures', expected key",
        ),
        (["s", "--task", "mini/xvnli", "--data-root", "x"], "--data-root: the task mini/xvnli brings its own data"),
    ],
)
def test_what_is_refused(
    arguments: list[str],
    message: str,
    iglue: Callable,
    photos: Path,
    tmp_path: Path,
    loaded: list[tuple],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in iglue("data", "detect", *arguments).sentence()
    assert not (tmp_path / "s").exists()


def test_ctrl_c_and_the_same_command(
    iglue: Callable, photos: Path, tmp_path: Path, loaded: list[tuple], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_writer, "IMAGES_PER_TABLE", 1)
    arguments = ("data", "detect", photos, tmp_path / "store", "--jobs", 1)
    prepare, prepared = FakeDetector.prepare, []

    def interrupted(self: FakeDetector, picture: Image.Image) -> Any:
        prepared.append(picture.size)
        if len(prepared) == 3:
            raise KeyboardInterrupt
        return prepare(self, picture)

    monkeypatch.setattr(FakeDetector, "prepare", interrupted)
    ended = iglue(*arguments)
    assert (ended.code, ended.err) == (130, "iglue: interrupted; the same command resumes\n")
    assert iglue(*arguments).out.startswith(f"{tmp_path / 'store'}: 3 images")
    assert len(prepared) == 4, "each picture once, but for the one that was interrupted"


def test_export(iglue: Callable, photos: Path, tmp_path: Path, loaded: list[tuple]) -> None:
    store = tmp_path / "store"
    iglue("data", "detect", photos, store, "--dtype", "float32")
    for name in ("a.h5", "a.tsv"):
        ended = iglue("data", "export", store, tmp_path / name, "--suffix", ".jpg")
        assert (ended.code, ended.out, ended.err) == (0, f"{tmp_path / name}: 3 images\n", "")
        iglue("data", "convert", tmp_path / name, tmp_path / "back", "--dtype", "float32")
        assert MappedRegions(tmp_path / "back").fingerprint() == MappedRegions(store).fingerprint()
        shutil.rmtree(tmp_path / "back")
    with h5py.File(tmp_path / "a.h5") as file:
        assert list(file) == ["0.jpg", "1.jpg", "2.jpg"]
    assert "is there already" in iglue("data", "export", store, tmp_path / "a.h5").sentence()


# iglue data show --image


def test_show_a_photograph_with_the_regions_of_a_store(
    iglue: Callable, photos: Path, tmp_path: Path, loaded: list[tuple]
) -> None:
    iglue("data", "detect", photos, tmp_path / "store")
    ended = iglue(
        "data", "show", "--image", photos / "2.png", "--store", tmp_path / "store", "--output", tmp_path / "x.png"
    )
    *lines, path = ended.out.splitlines()
    assert (ended.code, ended.err, path) == (0, "", str(tmp_path / "x.png"))
    objects = MappedRegions(tmp_path / "store").objects()
    labels = [objects.names.label(objects.image(2), region) for region in range(4)]
    boxes = MappedRegions(tmp_path / "store").boxes(2)
    assert lines == [
        f"{label}: {' '.join(f'{side:.0f}' for side in box)}" for label, box in zip(labels, boxes, strict=True)
    ]
    with Image.open(tmp_path / "x.png") as drawn, Image.open(photos / "2.png") as photo:
        assert drawn.format == "PNG" and drawn.size == (6 * photo.width, 6 * photo.height)


def test_show_a_photograph_with_the_regions_of_a_detector(
    iglue: Callable, photos: Path, tmp_path: Path, loaded: list[tuple], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = iglue("data", "show", "--image", photos / "0.png", "--preset", "five", "--weights", "w")
    assert (ended.code, ended.err, len(ended.out.splitlines())) == (0, "", 5)
    assert ended.out.endswith("0-regions.png\n") and (tmp_path / "0-regions.png").is_file()
    assert loaded[0][:4] == ("vg-r101", "five", "w", None)


def test_show_the_regions_of_a_store_that_no_detector_has_made(iglue: Callable, tmp_path: Path) -> None:
    Image.new("RGB", (100, 80)).save(tmp_path / "a.jpg")
    (tmp_path / "npy").mkdir()
    np.save(tmp_path / "npy" / "a.npy", np.ones((2, 3), dtype=np.float32))
    info = {"bbox": np.asarray([[1, 2, 30, 40], [5, 6, 50, 60]]), "image_width": 100, "image_height": 80}
    np.save(tmp_path / "npy" / "a_info.npy", info)
    iglue("data", "convert", tmp_path / "npy", tmp_path / "store")
    shown = (
        "data",
        "show",
        "--image",
        tmp_path / "a.jpg",
        "--store",
        tmp_path / "store",
        "--output",
        tmp_path / "x.png",
    )
    assert iglue(*shown).out.splitlines()[:2] == ["region 1: 1 2 30 40", "region 2: 5 6 50 60"]
    Image.new("RGB", (80, 100)).save(tmp_path / "a.jpg")
    assert iglue(*shown).sentence().startswith(f"{tmp_path / 'a.jpg'}: has 80 x 100 pixels, but the image 'a' of ")
    (tmp_path / "a.jpg").rename(tmp_path / "b.jpg")
    assert "image 'b' has no region features" in iglue(*shown[:3], tmp_path / "b.jpg", *shown[4:]).sentence()


def test_show_needs_one_thing_to_show(iglue: Callable, photos: Path, loaded: list[tuple]) -> None:
    expected = "name either a TASK, whose examples are drawn, or a photograph by --image"
    assert iglue("data", "show").sentence() == expected
    assert iglue("data", "show", "mini/xvnli", "--image", photos / "0.png").sentence() == expected
    assert "cannot be read (No such file" in iglue("data", "show", "--image", photos / "9.png").sentence()
