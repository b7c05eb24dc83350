"""`iglue score`: what it prints, on the predictions of a run and on files in VOLTA's form."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from iglue_plugins import registry
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.evaluation import evaluator
from iglue_plugins.evaluation.gold import read_gold
from iglue_plugins.models.uniter import XUniterForVisionAndLanguage
from iglue_plugins.utils.files import write_jsonl_atomic


@pytest.fixture
def evaluated(
    tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], tuple[Path, dict[str, float]]]:
    """Predictions of an untrained model in Turkish, as a run writes them, and the scores that it records."""

    def evaluate(name: str) -> tuple[Path, dict[str, float]]:
        cls = registry.tasks.load(name)
        monkeypatch.setattr(cls, "sizes", dict.fromkeys(cls.sizes, 24))
        model = XUniterForVisionAndLanguage.from_pretrained(tiny_checkpoint, head=cls.head, num_labels=cls().num_labels)
        processor = RegionProcessor(AutoTokenizer.from_pretrained(tiny_checkpoint))
        rows, scores = evaluator.evaluate(cls(), model, processor, "test", "tr")
        path = tmp_path / "tr.jsonl"
        write_jsonl_atomic(path, rows)
        return path, scores

    return evaluate


@pytest.fixture
def answers(tmp_path: Path) -> Callable[..., Path]:
    """Writes right answers in Turkish for mini/xvnli in VOLTA's form, but for some of them."""

    def write(wrong: int = 0, leave_out: int = 0) -> Path:
        gold = read_gold("mini/xvnli", "tr")
        rows = [{"questionId": id_, "prediction": label} for id_, label in gold.answers.items()]
        for row in rows[:wrong]:
            row["prediction"] = next(label for label in gold.choices if label != row["prediction"])
        path = tmp_path / "result.json"
        path.write_text(json.dumps(rows[: len(rows) - leave_out]))
        return path

    return write


@pytest.mark.parametrize(("task", "metrics"), [("mini/xgqa", 1), ("mini/marvl", 1), ("mini/xflickrco", 5)])
def test_the_predictions_of_a_run_score_what_it_records(
    evaluated: Callable[[str], tuple[Path, dict[str, float]]], iglue: Any, task: str, metrics: int
) -> None:
    path, recorded = evaluated(task)
    ended = iglue("score", task, path, "--language", "tr", "--json")
    assert ended.code == 0, ended
    found = json.loads(ended.out)
    assert found["metrics"] == pytest.approx({name: recorded[name] for name in found["metrics"]}, abs=1e-9)
    assert len(found["metrics"]) == metrics
    assert (found["examples"], found["missing"], found["extra"], found["notes"]) == (24, 0, 0, [])


def test_a_table(iglue: Any, answers: Callable[..., Path]) -> None:
    ended = iglue("score", "mini/xvnli", answers(wrong=30), "--language", "tr")
    assert (ended.code, ended.err) == (0, "")
    lines = [line.split() for line in ended.out.splitlines()]
    assert lines[0] == ["mini/xvnli/tr,", "test", "split"]
    assert lines[1] == ["metric", "%", "examples", "missing", "extra"]
    assert lines[3] == ["accuracy", "92.50", "400", "0", "0"]


def test_words_that_are_no_answers_are_noted_in_text_and_json(iglue: Any, tmp_path: Path) -> None:
    gold = read_gold("mini/xgqa", "tr")
    path = tmp_path / "result.json"
    path.write_text(json.dumps([{"id": id_, "answer": answer.title()} for id_, answer in gold.answers.items()]))
    ended = iglue("score", "mini/xgqa", path, "--language", "tr")
    expected = f"none of the {len(gold.vocabulary)} answers of mini/xgqa: 400 of 400, such as "
    assert expected in " ".join(ended.out.split())
    ended = iglue("score", "mini/xgqa", path, "--language", "tr", "--json")
    (note,) = json.loads(ended.out)["notes"]
    assert expected in note


def test_json_is_alone_on_standard_output(iglue: Any, answers: Callable[..., Path]) -> None:
    path = answers(wrong=1, leave_out=3)
    ended = iglue("score", "mini/xvnli", path, "--language", "tr", "--json", "--allow-missing")
    assert json.loads(ended.out) == {
        "task": "mini/xvnli",
        "language": "tr",
        "split": "test",
        "metrics": {"accuracy": 99.0},
        "examples": 400,
        "missing": 3,
        "extra": 0,
        "notes": [],
        "predictions": str(path),
    }


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("mini/xvnli", "{file}"), "{file}: has no prediction for 3 of the 400 examples of mini/xvnli/tr"),
        (("mini/xflickrco", "{file}"), "{file}: entry 1: the prediction is '"),
        (("mini/xvnli", "{file}.none"), "{file}.none: cannot be read (No such file or directory)"),
        (("mini/xvnil", "{file}"), "there is no task 'mini/xvnil'; did you mean 'mini/xvnli'?"),
        (("mini/xvnli", "{file}", "--data-root", "here"), "--data-root here: task mini/xvnli brings"),
    ],
)
def test_errors_are_one_sentence(
    iglue: Any, answers: Callable[..., Path], arguments: tuple[str, ...], sentence: str
) -> None:
    file = answers(leave_out=3)
    ended = iglue("score", *(argument.format(file=file) for argument in arguments), "--language", "tr")
    assert ended.sentence().startswith(sentence.format(file=file))


def test_the_language_is_never_guessed(iglue: Any, answers: Callable[..., Path]) -> None:
    ended = iglue("score", "mini/xvnli", answers())
    assert (ended.code, ended.out) == (2, "")
    assert "--language" in ended.err
