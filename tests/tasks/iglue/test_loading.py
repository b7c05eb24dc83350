"""Which files the full-scale tasks read, and what they say when that is not possible."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from iglue_plugins.tasks.iglue.task import IGLUETask
from iglue_plugins.tasks.iglue.tasks import IGLUEXVNLI
from iglue_plugins.tasks.settings import IGLUE_HOME
from iglue_plugins.utils.errors import UserError

Put, Make = Callable[..., Path], Callable[..., IGLUETask]
FULL = pytest.mark.parametrize("name", ["xvnli", "xgqa", "marvl", "xflickrco"])


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
        ("xvnli", "auxiliary", "fr", None, "XVNLI/annotations/en/dev-fr_gmt.jsonl", ["flickr30k/0"]),
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
    own = [text for text in examples["text"] if not text.startswith("another")]
    assert own == [f"{file} {i}" for i in range(3)]
    every_caption = name == "xflickrco" and split != "auxiliary"
    assert len(examples) == (6 if every_caption else 3)
    assert examples[0]["image_ids"] == images
    assert set(examples["language"]) == {language}
    assert ("caption" in examples.column_names) == (name in ("xvnli", "xgqa"))


def test_the_first_of_several_files_counts(put: Put, make: Make) -> None:
    for file in ("snli_ve_dev", "dev"):
        put(f"XVNLI/annotations/en/{file}.jsonl")
        assert make("xvnli").load("dev", "en")["text"][0] == f"XVNLI/annotations/en/{file}.jsonl 0"


def test_auxiliary_data_of_ones_choice(put: Put, make: Make) -> None:
    for shots in (5, 48):
        put(f"XVNLI/annotations/ar/train_{shots}.jsonl")
        task = make("xvnli", auxiliary="few_shot", auxiliary_shots=shots)
        assert task.load("auxiliary", "ar")["text"][0] == f"XVNLI/annotations/ar/train_{shots}.jsonl 0"
    put("marvl/few_shot/annotations/marvl-tr_train10x2.jsonl")
    assert make("marvl", auxiliary="few_shot").load("auxiliary", "tr")["text"][0].endswith("train10x2.jsonl 0")


@FULL
def test_the_set_that_few_shot_training_is_validated_on(name: str, make: Make) -> None:
    task = make(name)
    expected = ("few_shot_dev", "zh") if name == "xgqa" else ("dev", "en")
    assert task.few_shot_validation("zh", "en") == expected
    assert expected[0] in task.splits


# xGQA


def test_questions_of_few_shot_data_are_not_tested_on(put: Put, make: Make, put_answers: Put) -> None:
    put_answers()
    put("gqa/annotations/testdev_balanced_questions.json", ids=range(10))
    put("xGQA/annotations/zero_shot/testdev_balanced_questions_de.json", ids=range(10))
    dev = put("xGQA/annotations/few_shot/en/dev.json", ids=[1, 4])
    put("xGQA/annotations/few_shot/en/train_48.json", ids=[7, 9, 77])
    for language in ("en", "de"):
        assert make("xgqa").load("test", language)["id"][:] == ["0", "2", "3", "5", "6", "8"]
        assert len(make("xgqa").load("test_full", language)) == 10
    dev.unlink()
    with pytest.raises(UserError, match=f"^{dev}: no such file.*questions that are not in "):
        make("xgqa").load("test", "de")


def test_answers_outside_of_the_vocabulary(
    put: Put, make: Make, put_answers: Put, capsys: pytest.CaptureFixture[str]
) -> None:
    put_answers()
    task = make("xgqa")
    for file in ("xGQA/annotations/few_shot/pt/test.json", "xGQA/annotations/few_shot/pt/train_1.json"):
        path = put(file)
        path.write_text(path.read_text().replace('"no"', '"never"', 1))
    kept = task.load("test", "pt")
    assert kept["label"][:] == ["never", "no", "no"]
    assert task.targets(kept["label"]).tolist() == [-1, 0, 0], "which no model predicts"
    assert task.load("few_shot", "pt", 1)["id"][:] == ["1", "2"]
    assert f"{path}: left out 1 of 3 rows, which have none of the task's labels; found 2 " in capsys.readouterr().err


def test_the_labels_are_the_answers_of_the_file(put: Put, make: Make, put_answers: Put) -> None:
    task = make("xgqa")
    assert task.num_labels == 1842
    with pytest.raises(
        UserError,
        match="/gqa/annotations/trainval_label2ans.json: no such file.*the answers of task xgqa, from https://",
    ):
        task.targets(["no"])
    path = put_answers(["yes", "no"])
    with pytest.raises(UserError, match=f"^{path}: found 2 answers, expected 1842$"):
        task.targets(["no"])
    put_answers()
    assert task.labels[:3] == ("no", "yes", "answer 0")
    assert task.targets(["answer 1839", "yes"]).tolist() == [1841, 1]


# What is noticed


def test_what_is_left_out_is_said_once(put: Put, make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    path = put("XVNLI/annotations/fr/test.jsonl")
    path.write_text(path.read_text().replace("neutral", "-", 1))
    task = make("xvnli")
    for _ in range(2):
        assert task.load("test", "fr")["id"][:] == ["1", "2"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path}: left out 1 of 3 rows")
    assert line.endswith("found 2 examples, 1150 are published")


def test_ids_that_come_again(put: Put, make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    path = put("XVNLI/annotations/en/train.jsonl", pairID="again")
    assert len(make("xvnli").load("train", "en")) == 3
    assert capsys.readouterr().err == f"{path}: 2 rows have the id of an earlier row, the first of them 'again'\n"
    path = put("XVNLI/annotations/ar/test.jsonl", pairID="again")
    with pytest.raises(UserError, match=f"^{path}: found the id 'again' more than once, expected each id once$"):
        make("xvnli").load("test", "ar")


# Where files are


def test_the_data_may_be_named_by_the_environment(put: Put, data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put("XVNLI/annotations/ar/test.jsonl")
    task = IGLUEXVNLI()
    with pytest.raises(
        UserError,
        match="^task xvnli: .*set task.data_root in the recipe, or the environment variable IGLUE_HOME$",
    ):
        task.load("test", "ar")
    monkeypatch.setenv(IGLUE_HOME, str(data_root))
    assert len(task.load("test", "ar")) == 3
    monkeypatch.setenv(IGLUE_HOME, "/none")
    assert len(IGLUEXVNLI(IGLUEXVNLI.Settings(data_root=data_root)).load("test", "ar")) == 3


def test_data_root_may_be_the_folder_of_data_sets(put: Put, data_root: Path, make: Make) -> None:
    put("XVNLI/annotations/ar/test.jsonl")
    task = make("xvnli", data_root=str(data_root / "datasets"))
    assert len(task.load("test", "ar")) == 3
    assert task.regions.folder == data_root / "datasets" / "regions"
    shutil.move(data_root / "datasets", data_root.parent / "elsewhere")
    assert len(make("xvnli", data_root=str(data_root.parent / "elsewhere")).load("test", "ar")) == 3


def test_regions_may_lie_elsewhere(data_root: Path, make: Make) -> None:
    assert make("xvnli").regions.folder == data_root / "regions"
    assert make("xvnli", regions="/stores").regions.folder == Path("/stores")


@pytest.mark.parametrize(
    ("name", "split", "language", "shots", "file", "origin"),
    [
        ("xvnli", "train", "en", None, "XVNLI/annotations/en/train.jsonl", "IGLUE's share of XVNLI's English data, or"),
        (
            "xvnli",
            "auxiliary",
            "ar",
            None,
            "XVNLI/annotations_machine-translate/ar/dev_gmt.jsonl",
            "a machine translation",
        ),
        (
            "xgqa",
            "few_shot",
            "id",
            5,
            "xGQA/annotations/few_shot/id/train_5.json",
            "https://github.com/adapter-hub/xGQA",
        ),
        ("xgqa", "test", "id", None, "xGQA/annotations/few_shot/id/test.json", "https://github.com/adapter-hub/xGQA"),
        ("marvl", "dev", "en", None, "nlvr2/annotations/dev.jsonl", "https://github.com/lil-lab/nlvr"),
        ("xflickrco", "test", "ru", None, "xFlickrCO/annotations/ru/test.jsonl", "https://github.com/e-bug/iglue"),
    ],
)
def test_a_file_that_is_not_there_is_named_with_its_origin(
    name: str,
    split: str,
    language: str,
    shots: int | None,
    file: str,
    origin: str,
    data_root: Path,
    make: Make,
    put_answers: Put,
) -> None:
    put_answers()
    with pytest.raises(UserError) as error:
        make(name).load(split, language, shots)
    assert str(error.value).startswith(
        f"{data_root / 'datasets' / file}: no such file; it holds the examples of task {name}, split '"
    )
    assert f"in '{language}', from {origin}" in str(error.value)


@pytest.mark.parametrize(
    ("name", "split", "language", "shots", "message"),
    [
        ("xvnli", "tests", "ar", None, "task xvnli has no split 'tests'; did you mean 'test'?"),
        ("xvnli", "test", "id", None, "task xvnli has no language 'id'; choose from ar, en, es, fr, ru"),
        ("xvnli", "train", "ar", None, "task xvnli: split 'train' has no language 'ar'; choose from en"),
        ("xvnli", "auxiliary", "en", None, "task xvnli: split 'auxiliary' has no language 'en'; did you mean 'es'?"),
        ("xvnli", "test_translated", "en", None, "task xvnli: split 'test_translated' has no language 'en'; did you "),
        (
            "xvnli",
            "few_shot",
            "ar",
            None,
            "task xvnli: split 'few_shot' in 'ar': found no shots, expected one of 1, 5, ",
        ),
        ("xvnli", "few_shot", "ar", 3, "task xvnli: split 'few_shot' in 'ar': found 3 shots, expected one of 1, 5, "),
        ("xvnli", "test", "ar", 5, "task xvnli: split 'test' in 'ar': found 5 shots, expected none"),
        (
            "xvnli",
            "auxiliary",
            "ar",
            5,
            "task xvnli: split 'auxiliary' was asked for 5 shots; set task.auxiliary_shots instead",
        ),
        ("marvl", "few_shot", "sw", 1, "task marvl: split 'few_shot' has no language 'sw'; choose from id, tr, zh"),
        (
            "xflickrco",
            "few_shot",
            "de",
            101,
            "task xflickrco: split 'few_shot' in 'de': found 101 shots, expected one of "
            "1, 5, 10, 25, 50, 100, 200, 500, 1000, 1500, 100x5, 200x5",
        ),
        (
            "xflickrco",
            "few_shot",
            "tr",
            200,
            "task xflickrco: split 'few_shot' in 'tr': found 200 shots, expected one of 1, 5, 10, 25, 50, 100",
        ),
    ],
)
def test_what_a_task_does_not_have(
    name: str, split: str, language: str, shots: int | None, message: str, make: Make
) -> None:
    with pytest.raises(UserError) as error:
        make(name).load(split, language, shots)
    assert str(error.value).startswith(message)
