"""Real photos, captions and entailment pairs as a user's own data; shared/flickr8k/README.md says what they are."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml

from iglue_plugins import registry
from iglue_plugins.data.checking import check_images
from iglue_plugins.data.conversion.converter import convert
from iglue_plugins.data.regions import RegionLayout
from iglue_plugins.tasks.custom.task import CustomTask

FLICKR8K = Path(__file__).parents[2].parent / "shared" / "flickr8k"
FACTS: dict[str, dict[str, Any]] = {
    "captions": {"files": "captions/{language}.jsonl", "columns": {"text": "caption"}},
    "nli": {"files": "nli/{language}.jsonl", "columns": {"text": "hypothesis", "caption": "premise"}},
}
KINDS = {"captions": "retrieval", "nli": "nli"}
COLUMNS = ("train", "dev", "few_shot", "test")

pytestmark = pytest.mark.skipif(
    not (FLICKR8K / "regions.h5").is_file(), reason="the photos with captions are not there (shared/flickr8k)"
)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("regions") / "flickr8k"
    convert([FLICKR8K / "regions.h5"], folder, "h5")
    return folder


@pytest.fixture(scope="module")
def tasks(store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, CustomTask]:
    """Tasks whose YAML files lie apart from the data."""
    found = {}
    for name, facts in FACTS.items():
        path = tmp_path_factory.mktemp("facts") / f"{name}.yaml"
        path.write_text(yaml.safe_dump(facts | {"root": str(FLICKR8K), "regions": str(store), "pictures": "images"}))
        cls = registry.tasks.load(f"custom/{KINDS[name]}")
        found[name] = cls(cls.Settings(data=path))
    return found


def published_counts(name: str) -> dict[tuple[str, str], tuple[int, int]]:
    """The numbers of rows and of photos in the README's table, by split and language."""
    found = {}
    for language, *cells in re.findall(
        rf"^\| {name}/(\w+) \|(.+)\|(.+)\|(.+)\|(.+)\|$", (FLICKR8K / "README.md").read_text(), re.M
    ):
        for split, cell in zip(COLUMNS, cells, strict=True):
            if numbers := re.findall(r"\d+", cell):
                found[split, language] = int(numbers[0]), int(numbers[1])
    return found


def images(task: CustomTask, split: str, language: str) -> list[str]:
    return [image for (image,) in task.load(split, language)["image_ids"]]


@pytest.mark.parametrize("name", FACTS)
def test_rows_and_photos_are_those_of_the_readme(name: str, tasks: dict[str, CustomTask]) -> None:
    task = tasks[name]
    counts = {
        (split, language): (len(found), len(set(found)))
        for split, language, _ in task.available_splits()
        for found in [images(task, split, language)]
    }
    assert counts == published_counts(name)
    assert len(counts) == {"captions": 27, "nli": 12}[name]
    assert set(task.languages) == {language for _, language in counts}


@pytest.mark.parametrize("name", FACTS)
def test_a_row(name: str, tasks: dict[str, CustomTask]) -> None:
    task = tasks[name]
    row = json.loads((FLICKR8K / name / "en.jsonl").read_text(encoding="utf-8").partition("\n")[0])
    example = task.load(row["split"], "en")[0]
    assert (example["id"], example["image_ids"], example["language"]) == (row["id"], [row["image"]], "en")
    if name == "nli":
        found = (example["text"], example["label"], example["caption"])
        assert found == (row["hypothesis"], row["label"], row["premise"])
    else:
        assert (example["text"], example["label"], "caption" in example) == (row["caption"], "match", False)


def test_no_test_photo_is_trained_on(tasks: dict[str, CustomTask]) -> None:
    by_split: dict[str, set[str]] = {}
    for task in tasks.values():
        for split, language, _ in task.available_splits():
            by_split.setdefault(split, set()).update(images(task, split, language))
    assert {split: len(found) for split, found in by_split.items()} == {
        "train": 7289, "dev": 365, "test": 330, "few_shot": 107
    }  # fmt: skip
    assert len(set.union(*by_split.values())) == sum(map(len, by_split.values()))


@pytest.mark.parametrize("name", FACTS)
def test_few_shot_rows_are_nested(name: str, tasks: dict[str, CustomTask]) -> None:
    task = tasks[name]
    languages = [language for split, language, _ in task.available_splits() if split == "few_shot"]
    assert len(languages) == {"captions": 7, "nli": 5}[name]
    for language in languages:
        lines = (FLICKR8K / name / f"{language}.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [row for row in map(json.loads, lines) if row["split"] == "few_shot"]
        shots = Counter(row["shots"] for row in rows)
        for count in sorted(shots):
            ids = list(task.load("few_shot", language, count)["id"])
            assert ids == [row["id"] for row in rows if row["shots"] <= count]
        assert len(task.load("few_shot", language)) == sum(shots.values())


def test_auxiliary_data_are_training_rows_or_else_few_shot_rows(tasks: dict[str, CustomTask]) -> None:
    task = tasks["captions"]
    assert len(task.load("auxiliary", "de")) == 6688
    assert len(task.load("auxiliary", "tr")) == 99


@pytest.mark.parametrize("name", FACTS)
def test_every_photo_has_regions(name: str, tasks: dict[str, CustomTask]) -> None:
    task = tasks[name]
    for split, language, _ in task.available_splits():
        (found,) = check_images(images(task, split, language), task.regions)
        assert not found.missing
    batch = task.regions.gather(task.regions.index(images(task, "test", "en")[:4]), RegionLayout())
    assert batch["region_features"].shape == (4, 10, 320)


def test_pictures_are_there_for_all_that_is_not_trained_on(tasks: dict[str, CustomTask]) -> None:
    pytest.importorskip("iglue_plugins.data.pictures.folder", reason="the reader of folders of pictures is not there")
    for task in tasks.values():
        for split, language, _ in task.available_splits():
            if split != "train":
                assert all(map(task.pictures.has, images(task, split, language)))
        assert task.pictures.picture(images(task, "test", "en")[0]).size == (224, 224)


def test_the_fingerprint_is_of_the_rows_that_are_read(tasks: dict[str, CustomTask]) -> None:
    task = tasks["nli"]
    found = [task.fingerprint(split, language) for split, language, _ in task.available_splits()]
    assert len(set(found)) == len(found)
    assert task.fingerprint("few_shot", "ar", 10) != task.fingerprint("few_shot", "ar")
