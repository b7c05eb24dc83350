"""The content of the files of IGLUE tasks: left-out questions, unknown answers, repeated ids."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from iglue_plugins.tasks.iglue.task import IGLUETask
from iglue_plugins.utils.errors import UserError

Put, Make = Callable[..., Path], Callable[..., IGLUETask]


def test_questions_of_few_shot_data_are_not_in_the_test_set(put: Put, make: Make, put_answers: Put) -> None:
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


def test_left_out_rows_are_reported_once(put: Put, make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    path = put("XVNLI/annotations/fr/test.jsonl")
    path.write_text(path.read_text().replace("neutral", "-", 1))
    task = make("xvnli")
    for _ in range(2):
        assert task.load("test", "fr")["id"][:] == ["1", "2"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path}: left out 1 of 3 rows")
    assert line.endswith("found 2 examples, 1150 are published")


def test_repeated_ids_are_reported_in_training_data_and_an_error_elsewhere(
    put: Put, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    path = put("XVNLI/annotations/en/train.jsonl", pairID="again")
    assert len(make("xvnli").load("train", "en")) == 3
    assert capsys.readouterr().err == f"{path}: 2 rows have the id of an earlier row, the first of them 'again'\n"
    path = put("XVNLI/annotations/ar/test.jsonl", pairID="again")
    with pytest.raises(UserError, match=f"^{path}: found the id 'again' more than once"):
        make("xvnli").load("test", "ar")
