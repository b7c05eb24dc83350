"""The right answers as the tasks read them, and the examples that a file may predict without being scored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest

from iglue_plugins.evaluation.gold import read_gold
from iglue_plugins.utils.errors import UserError

ANSWERS = ["no", "yes", *(f"answer {i}" for i in range(1840))]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the cache of annotations in the test's folder, and let the environment name no data."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.delenv("IGLUE_HOME", raising=False)


def questions(answers: dict[str, str]) -> dict[str, Any]:
    return {id_: {"question": "?", "imageId": "n1", "answer": answer} for id_, answer in answers.items()}


def files() -> Iterator[tuple[str, Any]]:
    """Make a few rows of each task's annotations."""
    labels = {"p1": "neutral", "p2": "-", "p3": "entailment"}
    yield (
        "XVNLI/annotations/ar/test.jsonl",
        [
            {"pairID": id_, "Flikr30kID": "1", "sentence1": "a", "sentence2": "b", "gold_label": label}
            for id_, label in labels.items()
        ],
    )
    yield "gqa/annotations/trainval_label2ans.json", ANSWERS
    answers = {"1": "no", "2": "a word outside of the vocabulary", "3": "yes", "4": "no"}
    yield "gqa/annotations/testdev_balanced_questions.json", questions(answers)
    yield "xGQA/annotations/few_shot/en/dev.json", questions({"3": "yes"})
    yield "xGQA/annotations/few_shot/en/train_48.json", questions({"4": "no"})
    yield (
        "marvl/zero_shot/annotations/marvl-sw.jsonl",
        [
            {"id": f"sw-{i}", "left_img": "a.jpg", "right_img": "b.jpg", "caption": "c", "label": bool(i)}
            for i in range(2)
        ],
    )
    yield (
        "xFlickrCO/annotations/tr/test.jsonl",
        [
            {"id": image, "img_path": f"{image}.jpg", "sentences": captions}
            for image, captions in {"9": ["a", "b"], "2": ["c"], "5": ["d"]}.items()
        ],
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root that is a datasets folder itself."""
    for name, content in files():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = content if name.endswith(".jsonl") else [content]
        path.write_text("\n".join(map(json.dumps, rows)))
    return tmp_path / "data"


def test_xvnli_leaves_out_examples_without_a_label(root: Path) -> None:
    gold = read_gold("xvnli", "ar", str(root))
    assert gold.answers == {"p1": "neutral", "p3": "entailment"}
    assert (gold.unscored, gold.unlabelled) == ({"p2"}, 1)
    assert sorted(gold.choices) == ["contradiction", "entailment", "neutral"]


@pytest.mark.parametrize("language", ["en", "ko"])
def test_xgqa_has_the_english_answers_of_the_few_shot_test_set(root: Path, language: str) -> None:
    gold = read_gold("xgqa", language, str(root))
    assert gold.answers == {"1": "no", "2": "a word outside of the vocabulary"}
    assert (gold.unscored, gold.unlabelled, gold.choices) == ({"3", "4"}, 0, None)
    assert gold.name == f"xgqa/{language}, test split"
    assert gold.vocabulary == set(ANSWERS)


def test_marvl(root: Path) -> None:
    gold = read_gold("marvl", "sw", str(root))
    assert gold.answers == {"sw-0": "False", "sw-1": "True"}
    assert (gold.choices, gold.unscored, gold.retrieval) == (("False", "True"), set(), False)


def test_xflickrco_has_captions_and_images_in_the_order_of_the_file(root: Path) -> None:
    gold = read_gold("xflickrco", "tr", str(root))
    assert [image.rpartition("/")[2] for image in gold.answers.values()] == ["9", "9", "2", "5"]
    assert [image.rpartition("/")[2] for image in gold.choices] == ["9", "2", "5"]
    assert (gold.retrieval, gold.unscored) == (True, set())


def test_a_task_that_makes_its_own_data_needs_no_folder() -> None:
    gold = read_gold("mini/xgqa", "tr")
    assert len(gold.answers) == 400
    assert gold.unscored == set()
    with pytest.raises(UserError, match="^--data-root here: task mini/xgqa brings its own data; leave"):
        read_gold("mini/xgqa", "tr", "here")


REFUSED = {
    "task": (("xqga", "de"), "there is no task 'xqga'; did you mean 'xgqa'"),
    "language": (("xgqa", "fr"), "task xgqa has no language 'fr'"),
    "no data": (("xvnli", "ar"), "^--data-root is not given; name the folder .* or in IGLUE_HOME"),
    "no file": (("xvnli", "fr", "{root}"), "XVNLI/annotations/fr/test.jsonl: no such file"),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_tasks_that_cannot_be_scored(root: Path, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_gold(*(argument.format(root=root) for argument in arguments))
