from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from reported_runs import label_line, make_reported_run, ranking_line

from iglue_plugins.reporting.report.answers import Answer, read_answers
from iglue_plugins.runs.folder import Run
from iglue_plugins.utils.errors import UserError


def answers(folder: Path, *lines: dict[str, Any]) -> list[Answer]:
    run = Run(make_reported_run(folder, "finetune", 0, {"en": lines}))
    return list(read_answers(run, "test", "en"))


def test_labels(tmp_path: Path) -> None:
    (answer,) = answers(tmp_path, label_line("tr", 1, is_right=False))
    assert (answer.label, answer.prediction, answer.is_right, answer.is_ranking) == (
        "entailment",
        "neutral",
        False,
        False,
    )
    assert answer.likelihoods == (("neutral", 0.7), ("entailment", 0.25), ("contradiction", 0.05))


def test_rankings(tmp_path: Path) -> None:
    first, third, none = answers(tmp_path, *(ranking_line("tr", 0, rank) | {"id": str(rank)} for rank in (1, 3, None)))
    assert (first.is_right, third.is_right, none.is_right) == (True, False, False)
    assert third.predictions[2] == third.label
    assert third.likelihoods is not None
    assert third.likelihoods[2] == (third.label, 0.8)


def test_lines_of_earlier_versions_lack_what_was_not_kept(tmp_path: Path) -> None:
    early = {"id": "1", "prediction": "neutral", "label": "neutral", "score": 1.0}
    numbered = {"id": "2", "prediction": 1, "label": 0, "score": 0.0}
    ranked = {"id": "3", "prediction": ["a", "b"], "label": "b", "score": 0.0}
    scored, *found = {"id": "4", "score": 0.0}, *answers(tmp_path, early, numbered, ranked, {"id": "4", "score": 0.0})
    assert scored["id"] not in [answer.id for answer in found]
    assert [(answer.text, answer.image_ids, answer.likelihoods) for answer in found] == [(None, (), None)] * 3
    assert [(answer.label, answer.prediction) for answer in found] == [("neutral", "neutral"), ("0", "1"), ("b", "a")]


def test_numbers_that_are_not_finite_are_unknown(tmp_path: Path) -> None:
    numbers = {"neutral": float("nan"), "entailment": float("inf"), "contradiction": 10**400, "other": None}
    (answer,) = answers(tmp_path, label_line("en", 0, is_right=True) | {"probabilities": numbers})
    assert answer.likelihoods == tuple((label, None) for label in numbers)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"text": 3}, "text 3, which has to be a text"),
        ({"label": ["a"]}, "label ['a'], which has to be a text or a number"),
        ({"image_ids": "a"}, "image_ids 'a', which has to be a list"),
        ({"probabilities": [1]}, "probabilities [1], which have to be an object"),
        ({"probabilities": {"neutral": "x"}}, "probabilities 'x', which has to be a number or null"),
        ({"prediction": ["a"], "similarities": [1, 2]}, "2 similarities of 1 images, which have to be as many"),
    ],
)
def test_another_kind_of_value_is_an_error(tmp_path: Path, change: dict[str, Any], what: str) -> None:
    with pytest.raises(UserError, match=re.escape(f"en.jsonl: line 1 has {what}; correct it")):
        answers(tmp_path, label_line("en", 0, is_right=True) | change)
