"""Where the IGLUE tasks look for their files, and the errors for what is missing."""

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


def test_the_environment_variable_stands_in_for_data_root(
    put: Put, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_data_root_can_be_the_folder_datasets(put: Put, data_root: Path, make: Make) -> None:
    put("XVNLI/annotations/ar/test.jsonl")
    task = make("xvnli", data_root=str(data_root / "datasets"))
    assert len(task.load("test", "ar")) == 3
    assert task.regions.folder == data_root / "datasets" / "regions"
    shutil.move(data_root / "datasets", data_root.parent / "elsewhere")
    assert len(make("xvnli", data_root=str(data_root.parent / "elsewhere")).load("test", "ar")) == 3


def test_the_folder_of_regions_can_be_set(data_root: Path, make: Make) -> None:
    assert make("xvnli").regions.folder == data_root / "regions"
    assert make("xvnli", regions="/stores").regions.folder == Path("/stores")


@pytest.mark.parametrize(
    ("name", "split", "language", "shots", "file", "origin"),
    [
        ("xvnli", "train", "en", None, "XVNLI/annotations/en/train.jsonl", "IGLUE's share of XVNLI's English data, or"),
        (
            "xvnli",
            "dev_translated",
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
def test_a_missing_file_is_named_with_its_origin(
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
        ("xvnli", "auxiliary", "de", None, "task xvnli has no language 'de'; did you mean"),
        ("marvl", "auxiliary", "en", None, "task marvl: split 'auxiliary' has no language 'en'; choose from id, sw, "),
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
def test_a_split_language_or_number_of_shots_that_a_task_does_not_have(
    name: str, split: str, language: str, shots: int | None, message: str, make: Make
) -> None:
    with pytest.raises(UserError) as error:
        make(name).load(split, language, shots)
    assert str(error.value).startswith(message)
