"""The images of tasks that have pictures, by region store."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml
from datasets import Dataset, Features, Value
from datasets import Image as DatasetImage
from PIL import Image

from iglue_plugins import registry
from iglue_plugins.mini.tasks import MiniXVNLI
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.images import list_images
from iglue_plugins.utils.errors import UserError


def xvnli_row(image: str) -> dict[str, str]:
    return {
        "gold_label": "neutral",
        "sentence1": "a",
        "sentence2": "b",
        "pairID": f"{image}#0",
        "Flikr30kID": f"{image}.jpg",
    }


@pytest.fixture
def iglue_data(tmp_path: Path) -> Path:
    """XVNLI's English training set and its test sets in two languages, which share an image."""
    for file, images in {
        "XVNLI/annotations/en/train.jsonl": "12",
        "XVNLI/annotations/fr/test.jsonl": "345",
        "XVNLI/annotations/ru/test.jsonl": "36",
    }.items():
        path = tmp_path / "data" / "datasets" / file
        path.parent.mkdir(parents=True)
        path.write_text("".join(f"{json.dumps(xvnli_row(image))}\n" for image in images))
    return tmp_path / "data"


def put_pictures(folder: Path, names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (30, 30)).save(folder / f"{name}.jpg")
    return folder


def xvnli(**settings: object) -> Task:
    cls = registry.tasks.load("xvnli")
    return cls(cls.Settings(**settings))


def ids(names: str, store: str = "flickr30k") -> tuple[str, ...]:
    return tuple(f"{store}/{name}" for name in names)


def test_the_images_of_a_split_in_all_languages(iglue_data: Path, tmp_path: Path) -> None:
    put_pictures(tmp_path / "pictures" / "flickr30k", "123456789")
    task = xvnli(data_root=iglue_data, pictures=tmp_path / "pictures")
    ((images,), notes) = list_images(task, "test")
    assert (images.store, images.image_ids, images.prefix) == ("flickr30k", ids("3456"), "flickr30k/")
    assert len(notes) == 1 and notes[0].startswith("split 'test': the examples of 3 of its files cannot be read")
    ((images,), notes) = list_images(task)
    assert images.image_ids == ids("123456")


def test_images_without_a_picture_are_named(iglue_data: Path, tmp_path: Path) -> None:
    put_pictures(tmp_path / "pictures" / "flickr30k", "36")
    task = xvnli(data_root=iglue_data, pictures=tmp_path / "pictures")
    ((images,), notes) = list_images(task, "test")
    assert images.image_ids == ids("36")
    assert notes[1] == "flickr30k: 4 images, 2 images (flickr30k/4, flickr30k/5) without pictures"


def test_a_task_whose_images_are_of_several_stores(tmp_path: Path) -> None:
    for language, image in (("id", "39-0"), ("sw", "40-1")):
        path = tmp_path / "data" / "datasets" / "marvl" / "zero_shot" / "annotations" / f"marvl-{language}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        row = {"concept": "c", "language": language, "caption": "a", "id": "1", "label": True, "chapter": "x"}
        path.write_text(json.dumps(row | {"left_img": f"{image}.jpg", "right_img": f"{image}2.jpg"}) + "\n")
        for name in (image, f"{image}2"):
            folder = tmp_path / "pictures" / f"marvl-{language}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (30, 30)).save(folder / f"{name}.jpg")
    cls = registry.tasks.load("marvl")
    task = cls(cls.Settings(data_root=tmp_path / "data", pictures=tmp_path / "pictures"))
    found, _ = list_images(task, "test")
    assert [(of.store, of.image_ids) for of in found] == [
        ("marvl-id", ("marvl-id/39-0", "marvl-id/39-02")),
        ("marvl-sw", ("marvl-sw/40-1", "marvl-sw/40-12")),
    ]
    for name in ("39-0", "39-02"):
        (tmp_path / "pictures" / "marvl-id" / f"{name}.jpg").unlink()
    (tmp_path / "pictures" / "marvl-id").rmdir()
    found, notes = list_images(cls(task.settings), "test")
    assert [of.store for of in found] == ["marvl-sw"]
    assert any(note.startswith("marvl-id: 2 images, none has pictures: ") for note in notes)


def test_images_of_ones_own_are_of_one_store(tmp_path: Path) -> None:
    put_pictures(tmp_path / "photos" / "dogs", "ab")
    rows = [
        {"id": str(n), "image": image, "text": "t", "language": "en", "split": "test", "label": "neutral"}
        for n, image in enumerate(["dogs/b", "dogs/a.jpg"])
    ]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "task.yaml").write_text(yaml.safe_dump({"pictures": "photos", "regions": "none yet"}))
    cls = registry.tasks.load("custom/nli")
    ((images,), notes) = list_images(cls(cls.Settings(data=tmp_path)))
    assert (images.store, images.prefix, images.image_ids, notes) == ("", "", ("dogs/a", "dogs/b"), [])


def test_pictures_of_a_copy_on_the_hub(tmp_path: Path) -> None:
    """The copies have the pictures inside, and those of the test set alone."""
    columns = ("label", "caption", "hypothesis", "pair_id", "flikr30k_id", "image")
    picture = io.BytesIO()
    Image.new("RGB", (32, 24)).save(picture, "PNG")
    rows = [("neutral", "a", "b", name, f"{name}.jpg", {"bytes": picture.getvalue(), "path": None}) for name in "57"]
    features = Features(dict.fromkeys(columns, Value("string")) | {"image": DatasetImage()})
    (tmp_path / "copy" / "data").mkdir(parents=True)
    copy = Dataset.from_list([dict(zip(columns, row, strict=True)) for row in rows], features=features)
    for language in ("en", "ar", "es", "fr", "ru"):
        copy.to_parquet(tmp_path / "copy" / "data" / f"{language}-00000-of-00001.parquet")
    task = xvnli(data_root=tmp_path, hub=str(tmp_path / "copy"))
    ((images,), _) = list_images(task, "test")
    assert images.image_ids == ids("57")
    assert task.pictures.picture("flickr30k/7").size == (32, 24)


def test_what_is_refused(iglue_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = xvnli(data_root=iglue_data, pictures=tmp_path / "pictures")
    with pytest.raises(UserError, match="task xvnli has no split 'tset'; did you mean 'test'?"):
        list_images(task, "tset")
    with pytest.raises(
        UserError, match="task xvnli: there is no picture of any image: .*flickr30k: 4 images, none has"
    ):
        list_images(task, "test")
    with pytest.raises(UserError, match="task xvnli has no pictures, only region features; set task.pictures"):
        list_images(xvnli(data_root=iglue_data), "test")
    monkeypatch.setattr(MiniXVNLI, "sizes", {"train": 1, "auxiliary": 1, "dev": 1, "test": 2, "unseen": 1})
    ((images,), _) = list_images(MiniXVNLI(), "test")
    assert images.store == "" and images.image_ids[0].startswith("mini/xvnli/test/")
