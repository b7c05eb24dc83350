"""Every annotation file of IGLUE has the rows that a plain JSON reader finds, and the counts of task_configs/."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import pytest

from iglue_plugins import registry
from iglue_plugins.data.annotations.caching import read_annotations
from iglue_plugins.data.annotations.readers import read_answers
from iglue_plugins.tasks.config import Shots, SplitSource
from iglue_plugins.tasks.iglue.task import IGLUETask

IGLUE = Path(__file__).parents[3].parent / "shared" / "iglue"
DATASETS = IGLUE / "datasets"
VOCABULARY = [
    DATASETS / "gqa" / "annotations" / f"trainval_{name}"
    for name in ("label2ans.json", "label2ans.pkl", "ans2label.json", "ans2label.pkl")
]
NAMES = ("xvnli", "xgqa", "marvl", "xflickrco")

pytestmark = pytest.mark.skipif(not DATASETS.is_dir(), reason="IGLUE's annotation files are not there (shared/iglue)")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Files are read once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        yield


class Place(NamedTuple):
    """A file that a task's configuration names, with its split, source, language and shots."""

    path: Path
    split: str
    source: SplitSource
    language: str
    shots: Shots | None


def places(task: IGLUETask) -> Iterator[Place]:
    """Yields the files that exist."""
    for split, sources in task.config.splits.items():
        for source in sources:
            for language in source.languages:
                for shots in source.shots or (None,):
                    for name in source.file:
                        path = DATASETS / name.format(language=language, shots=shots)
                        if path.is_file():
                            yield Place(path, split, source, language, shots)


def make(name: str) -> IGLUETask:
    cls = registry.tasks.load(name)
    return cls(cls.Settings(data_root=IGLUE))


def plain(path: Path, answers: list[str]) -> Iterator[tuple[Any, ...]]:
    """Yields the id, images, text and label of each row of a file, with a plain JSON reader."""
    text = path.read_bytes()
    if path.suffix == ".pkl":
        for row in pickle.loads(text):  # a file of IGLUE, which is trusted
            yield row["question_id"], [row["image_id"]], row["question"], answers[row["labels"][0]]
    elif path.suffix == ".json":
        content = json.loads(text)
        for row in content if isinstance(content, list) else ():
            yield row["question_id"], [row["img_id"]], row["sent"], next(iter(row["label"]), "-")
        for id_, row in content.items() if isinstance(content, dict) else ():
            yield id_, [row["imageId"]], row["question"], row["answer"]
    else:
        for line in text.decode().splitlines():
            yield from plain_line(json.loads(line), first_only="valid-" in path.name)


def plain_line(row: dict[str, Any], first_only: bool) -> Iterator[tuple[Any, ...]]:
    if "gold_label" in row:
        yield row["pairID"], [row["Flikr30kID"].replace(".jpg", "")], row["sentence2"], row["gold_label"]
    elif "identifier" in row:
        pair = row["identifier"][: row["identifier"].rindex("-")]
        yield row["identifier"], [f"{pair}-img0", f"{pair}-img1"], row["sentence"], row["label"]
    elif "left_img" in row:
        images = [row[side].split("/")[-1].replace(".jpg", "") for side in ("left_img", "right_img")]
        yield row["id"], images, row["caption"], {True: "True", False: "False"}[row["label"]]
    else:
        image = row["img_path"].replace(".jpg", "")
        for number, text in enumerate(row["sentences"][: 1 if first_only else None]):
            yield f"{image}#{number}", [image], text, "match"


@pytest.mark.parametrize("name", NAMES)
def test_every_row_equals_that_of_a_plain_json_reader(name: str) -> None:
    task, answers = make(name), json.loads(VOCABULARY[0].read_text())
    for path, _, source, language, _ in places(task):
        store = source.store.format(language=language)
        found = read_annotations(
            path, source.kind, language=language, store=store, labels=task.labels, keep_unknown=True
        )
        rows = list(plain(path, answers))
        assert found.counts.repeated == 0, path
        assert found.examples["id"][:] == [id_ for id_, _, _, _ in rows], path
        images = [[f"{store}/{image}" for image in images] for _, images, _, _ in rows]
        assert found.examples["image_ids"][:] == images, path
        assert found.examples["text"][:] == [text for _, _, text, _ in rows], path
        assert found.examples["label"][:] == [label for _, _, _, label in rows], path


@pytest.mark.parametrize("name", NAMES)
def test_the_counts_are_those_of_the_files(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    task = make(name)
    for path, split, source, language, shots in places(task):
        labels = [row[3] for row in plain(path, list(task.labels if name == "xgqa" else ()))]
        unlabelled = 0 if task.keeps_unknown_labels(split) else sum(label not in task.labels for label in labels)
        if path.name != "testdev_balanced_questions.json":  # which is cut to the questions of the few-shot data, here
            kept = len(task.load(split, language, shots))
            assert source.count("examples", language, shots) == kept, path
            assert source.count("unlabelled", language, shots) == unlabelled, path
    assert "published" not in capsys.readouterr().err


def test_every_file_is_named_by_a_task() -> None:
    named = chain(VOCABULARY, *((place.path for place in places(make(name))) for name in NAMES))
    assert set(named) == {path for path in DATASETS.rglob("*") if path.is_file()}


def test_all_files_of_answers_are_equal() -> None:
    answers = json.loads(VOCABULARY[0].read_text())
    assert {read_answers(path) for path in VOCABULARY} == {tuple(answers)}
    assert make("xgqa").labels == tuple(answers)


def test_pickled_questions_are_the_same_as_by_id() -> None:
    task = make("xgqa")
    pickles = [place for place in places(task) if place.path.suffix == ".pkl"]
    for path, _, source, language, _ in pickles:
        as_json, as_pickle = (
            read_annotations(file, source.kind, language=language, store="gqa", labels=task.labels).examples
            for file in (path.with_suffix(".json"), path)
        )
        assert sorted(as_json, key=lambda row: row["id"]) == sorted(as_pickle, key=lambda row: row["id"]), path
    assert pickles


def test_the_questions_that_xgqa_is_scored_on() -> None:
    task = make("xgqa")
    test, full = task.load("test", "en"), task.load("test_full", "en")
    few_shot = {
        id_
        for split, shots in (("few_shot_dev", None), ("few_shot", 48))
        for id_ in task.load(split, "en", shots)["id"]
    }
    assert set(full["id"]) - set(test["id"]) == few_shot
    assert (task.targets(test["label"]) < 0).sum() == 2
    assert not set(task.load("few_shot", "en", 48)["id"]) & set(task.load("few_shot_dev", "en")["id"])


def test_a_translated_test_set_has_the_labels_of_its_origin() -> None:
    for name in ("xvnli", "marvl", "xflickrco"):
        task = make(name)
        for language in task.config.split_languages("test_translated"):
            original, translated = task.load("test", language), task.load("test_translated", language)
            for column in ("id", "image_ids", "language", "label"):
                assert original[column][:] == translated[column][:], (name, language, column)
            assert original["text"][:] != translated["text"][:]
