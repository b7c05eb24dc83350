"""The file that each split of the IGLUE tasks is read from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from iglue_plugins.tasks.iglue.task import IGLUETask

Put, Make = Callable[..., Path], Callable[..., IGLUETask]
EVERY_TASK = pytest.mark.parametrize("name", ["xvnli", "xgqa", "marvl", "xflickrco"])


@pytest.mark.parametrize(
    ("name", "split", "language", "shots", "file", "images"),
    [
        ("xvnli", "train", "en", None, "XVNLI/annotations/en/train.jsonl", ["flickr30k/0"]),
        ("xvnli", "train", "en", None, "XVNLI/annotations/en/snli_ve_train.jsonl", ["flickr30k/0"]),
        ("xvnli", "dev", "en", None, "XVNLI/annotations/en/dev.jsonl", ["flickr30k/0"]),
        (
            "xvnli",
            "dev_translated",
            "fr",
            None,
            "XVNLI/annotations_machine-translate/fr/dev_gmt.jsonl",
            ["flickr30k/0"],
        ),
        ("xvnli", "dev_translated", "fr", None, "XVNLI/annotations/en/dev-fr_gmt.jsonl", ["flickr30k/0"]),
        ("xvnli", "auxiliary", "fr", None, "XVNLI/annotations/fr/train_48.jsonl", ["flickr30k/0"]),
        ("xvnli", "few_shot", "ru", 25, "XVNLI/annotations/ru/train_25.jsonl", ["flickr30k/0"]),
        ("xvnli", "test", "en", None, "XVNLI/annotations/en/test.jsonl", ["flickr30k/0"]),
        ("xvnli", "test", "ar", None, "XVNLI/annotations/ar/test.jsonl", ["flickr30k/0"]),
        ("xvnli", "test_translated", "es", None, "XVNLI/annotations_machine-translate/es/test.jsonl", ["flickr30k/0"]),
        ("xgqa", "train", "en", None, "gqa/annotations/train_balanced_questions.json", ["gqa/n0"]),
        ("xgqa", "dev", "en", None, "gqa/annotations/val_balanced_questions.json", ["gqa/n0"]),
        ("xgqa", "few_shot", "ko", 48, "xGQA/annotations/few_shot/ko/train_48.json", ["gqa/n0"]),
        ("xgqa", "auxiliary", "de", None, "xGQA/annotations/few_shot/de/train_48.json", ["gqa/n0"]),
        ("xgqa", "few_shot_dev", "ko", None, "xGQA/annotations/few_shot/ko/dev.json", ["gqa/n0"]),
        ("xgqa", "test", "en", None, "xGQA/annotations/few_shot/en/test.json", ["gqa/n0"]),
        ("xgqa", "test", "bn", None, "xGQA/annotations/few_shot/bn/test.json", ["gqa/n0"]),
        ("xgqa", "test_full", "en", None, "gqa/annotations/testdev_balanced_questions.json", ["gqa/n0"]),
        ("xgqa", "test_full", "bn", None, "xGQA/annotations/zero_shot/testdev_balanced_questions_bn.json", ["gqa/n0"]),
        ("marvl", "train", "en", None, "nlvr2/annotations/train.json", ["nlvr2/dev-0-0-img0", "nlvr2/dev-0-0-img1"]),
        ("marvl", "dev", "en", None, "nlvr2/annotations/dev.jsonl", ["nlvr2/dev-0-0-img0", "nlvr2/dev-0-0-img1"]),
        (
            "marvl",
            "auxiliary",
            "ta",
            None,
            "nlvr2/annotations/dev-ta_gmt.jsonl",
            ["nlvr2/dev-0-0-img0", "nlvr2/dev-0-0-img1"],
        ),
        (
            "marvl",
            "few_shot",
            "zh",
            "10x2",
            "marvl/few_shot/annotations/marvl-zh_train10x2.jsonl",
            ["marvl-zh_fewshot/9-0", "marvl-zh_fewshot/9-1"],
        ),
        ("marvl", "test", "en", None, "nlvr2/annotations/test1.json", ["nlvr2/dev-0-0-img0", "nlvr2/dev-0-0-img1"]),
        ("marvl", "test", "sw", None, "marvl/zero_shot/annotations/marvl-sw.jsonl", ["marvl-sw/9-0", "marvl-sw/9-1"]),
        (
            "marvl",
            "test_translated",
            "ta",
            None,
            "marvl/zero_shot/annotations_machine-translate/marvl-ta_gmt.jsonl",
            ["marvl-ta/9-0", "marvl-ta/9-1"],
        ),
        ("xflickrco", "train", "en", None, "flickr30k/annotations/train_ann.jsonl", ["flickr30k/0"]),
        ("xflickrco", "dev", "en", None, "flickr30k/annotations/valid_ann.jsonl", ["flickr30k/0"]),
        (
            "xflickrco",
            "auxiliary",
            "ja",
            None,
            "flickr30k/annotations_machine-translate/valid-ja_gmt.jsonl",
            ["flickr30k/0"],
        ),
        ("xflickrco", "few_shot", "tr", 100, "xFlickrCO/annotations/tr/train_100.jsonl", ["xflickrco-few/0"]),
        ("xflickrco", "few_shot", "de", "200x5", "xFlickrCO/annotations/de/train_200x5.jsonl", ["xflickrco-few/0"]),
        ("xflickrco", "test", "id", None, "xFlickrCO/annotations/id/test.jsonl", ["xflickrco-test/0"]),
        (
            "xflickrco",
            "test_translated",
            "id",
            None,
            "xFlickrCO/annotations_machine-translate/id/test_gmt.jsonl",
            ["xflickrco-test/0"],
        ),
        ("xflickrco", "test_flickr30k", "en", None, "flickr30k/annotations/test_ann.jsonl", ["flickr30k/0"]),
    ],
)
def test_the_file_of_a_split(
    name: str,
    split: str,
    language: str,
    shots: int | str | None,
    file: str,
    images: list[str],
    put: Put,
    make: Make,
    put_answers: Put,
) -> None:
    put(file)
    put_answers()
    examples = make(name).load(split, language, shots)
    texts = [text for text in examples["text"] if not text.startswith("another")]
    assert texts == [f"{file} {i}" for i in range(3)]
    every_caption = name == "xflickrco" and split != "auxiliary"
    assert len(examples) == (6 if every_caption else 3)
    assert examples[0]["image_ids"] == images
    assert set(examples["language"]) == {language}
    assert ("caption" in examples.column_names) == (name in ("xvnli", "xgqa"))


def test_the_first_of_several_files_counts(put: Put, make: Make) -> None:
    for file in ("snli_ve_dev", "dev"):
        put(f"XVNLI/annotations/en/{file}.jsonl")
        assert make("xvnli").load("dev", "en")["text"][0] == f"XVNLI/annotations/en/{file}.jsonl 0"


def test_auxiliary_data_are_those_that_the_settings_choose(put: Put, make: Make) -> None:
    for shots in (5, 48):
        put(f"XVNLI/annotations/ar/train_{shots}.jsonl")
        task = make("xvnli", auxiliary="few_shot", auxiliary_shots=shots)
        assert task.load("auxiliary", "ar")["text"][0] == f"XVNLI/annotations/ar/train_{shots}.jsonl 0"
    put("marvl/few_shot/annotations/marvl-tr_train10x2.jsonl")
    assert make("marvl", auxiliary="few_shot").load("auxiliary", "tr")["text"][0].endswith("train10x2.jsonl 0")


@EVERY_TASK
def test_the_validation_data_of_few_shot_training(name: str, make: Make) -> None:
    task = make(name)
    expected = ("few_shot_dev", "zh") if name == "xgqa" else ("dev", "en")
    assert task.few_shot_validation("zh", "en") == expected
    assert expected[0] in task.splits
