"""Files of predictions of either form, and the errors for other files."""

from __future__ import annotations

from pathlib import Path

import pytest

from iglue_plugins.evaluation.prediction_files import Prediction, read_predictions
from iglue_plugins.utils.errors import UserError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "predictions.json"


def test_a_result_file_of_gqa(path: Path) -> None:
    path.write_text('[{"questionId": "7", "prediction": "no"}, {"questionId": "8", "prediction": "Käse"}]')
    assert read_predictions(path) == [Prediction("entry 1", "7", "no"), Prediction("entry 2", "8", "Käse")]


def test_lists_of_images(path: Path) -> None:
    path.write_text("\n[[2, 0],\n [1, 2]]")
    assert read_predictions(path) == [Prediction("entry 1", None, [2, 0]), Prediction("entry 2", None, [1, 2])]


def test_the_predictions_of_a_run(path: Path) -> None:
    path.write_text(
        '{"id": "a", "prediction": "x", "label": "y", "score": 0.0}\n\n'
        '{"id": "b\u2028", "prediction": ["i", "j"], "label": "i", "score": 1}\n'
    )
    assert read_predictions(path) == [
        Prediction("line 1", "a", "x", "y", 0.0),
        Prediction("line 3", "b\u2028", ["i", "j"], "i", 1),
    ]


@pytest.mark.parametrize("key", ["question_id", "pairID", "identifier"])
def test_other_names_of_the_id_and_the_prediction(path: Path, key: str) -> None:
    path.write_text(f'\ufeff[{{"answer": true, "{key}": 12}}]')
    assert read_predictions(path) == [Prediction("entry 1", "12", True)]


BAD = {
    "cut off": ('[{"id": "1", "prediction": "no"},\n {"id": "2", "predic', r"line 2, column 14: is not JSON \("),
    "cut off line": ('{"id": "1", "prediction": "no"}\n{"id": "2",\n', r"line 2, column 12: is not JSON \("),
    "words": ("yes\nno\n", r"line 1, column 1: is not JSON \(Expecting value\)"),
    "not text": (b'["\xff"]', "byte 2: is not UTF-8"),
    "too deep": ("[" * 100_000, "the JSON cannot be read"),
    "empty": ("", "holds no predictions"),
    "an empty list": ("[]", r"holds no predictions; .* \(VOLTA writes an empty list for XVNLI and MaRVL\)"),
    "numbers": ("[1, 2]", "entry 1: is 1; expected an object"),
    "one object": ('{"a": "no"}', "line 1: has the keys a; expected one of id, questionId"),
    "no key": ("[{}]", "entry 1: has no key; expected one of id, questionId"),
    "no prediction": ('[{"id": "1", "logits": 1}]', "entry 1: has the keys id, logits; expected one of prediction"),
    "no id": ('[{"id": null, "prediction": "no"}]', "entry 1: the id is None"),
    "both forms": ('[{"id": "1", "prediction": "no"}, [1]]', "entry 2: .* mixes lists and objects"),
    "a score": (
        '{"id": "1", "prediction": "no", "score": 50}',
        "line 1: the score is 50; expected a number from 0 to 1",
    ),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_read(path: Path, content: str | bytes, message: str) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=f"^{path}: {message}"):
        read_predictions(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none: cannot be read \(No such file or directory\)"):
        read_predictions(tmp_path / "none")
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory\)"):
        read_predictions(tmp_path)
