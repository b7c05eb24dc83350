"""The prompts for generative models, and the reading of their answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from iglue_plugins.integrations.lmms_eval.documents import make_task, prompt, scored
from iglue_plugins.integrations.lmms_eval.questions import QUESTIONS, normalize_answer

ANSWERS = Path(__file__).parents[3] / ".." / "shared" / "iglue" / "datasets" / "gqa" / "annotations"


@pytest.mark.parametrize(
    ("task", "answer", "read"),
    [
        ("xvnli", "entailment", "entailment"),
        ("xvnli", " **Neutral.**", "neutral"),
        ("xvnli", "The image contradicts the hypothesis.", "contradiction"),
        ("xvnli", "Entailment. The man is not sitting, so this is no contradiction.", "entailment"),
        ("xvnli", "This is not an entailment.", ""),
        ("xvnli", "The image doesn't entail it.", ""),
        ("xvnli", "Either neutral or entailment.", ""),
        ("xvnli", "I cannot tell.", ""),
        ("xvnli", "", ""),
        ("marvl", "TRUE", "True"),
        ("marvl", "No, there is only one dog.", "False"),
        ("marvl", "The statement is false.", "False"),
        ("marvl", "Not true.", ""),
        ("marvl", "Nothing in it is known", ""),
        ("mini/marvl", "yes", "True"),
        ("xgqa", "The T-shirt.", "t-shirt"),
        ("xgqa", "“Yes”", "yes"),
        ("xgqa", "A  dry-erase board\n", "dry-erase board"),
        ("xgqa", "Yes, it is", "yes, it is"),
        ("mini/xgqa", "the lion", "lion"),
    ],
)
def test_answers_are_read(task: str, answer: str, read: str) -> None:
    assert QUESTIONS[task].read(answer) == read


def test_an_answer_is_right_if_it_reads_as_the_label() -> None:
    assert scored({"task": "marvl", "label": "True"}, ["Yes."]) == {"accuracy": 1.0}
    assert scored({"task": "marvl", "label": "False"}, ["Yes."]) == {"accuracy": 0.0}
    assert scored({"task": "mini/xgqa", "label": "Japanese dolls"}, ["japanese dolls"]) == {"accuracy": 1.0}
    assert scored({"task": "xvnli", "label": "neutral"}, ["entailment, not neutral"]) == {"accuracy": 0.0}


@pytest.mark.parametrize("name", ["mini/xvnli", "mini/xgqa", "mini/marvl", "xvnli", "marvl"])
def test_a_label_is_right_for_itself_alone(name: str) -> None:
    labels = make_task(name, {}).labels
    question = QUESTIONS[name]
    for label in labels:
        assert [other for other in labels if question.is_right(label, other)] == [label]


@pytest.mark.skipif(not ANSWERS.is_dir(), reason="the annotations of the IGLUE repository are not at hand")
def test_gqas_answers_stay_distinct() -> None:
    answers = json.loads((ANSWERS / "trainval_label2ans.json").read_text(encoding="utf-8"))
    assert len({normalize_answer(answer) for answer in answers}) == len(answers) == 1842


def test_prompts_have_the_text_as_it_is() -> None:
    for name, question in QUESTIONS.items():
        asked = prompt({"task": name, "text": "ظرف {x}"}, {"labels": ["no", "yes"]})
        assert "ظرف {x}" in asked
        assert ("no, yes" in asked) == (name == "mini/xgqa")
        assert all(
            any(word in asked for word in form.split("|")[:1]) or label in asked
            for label, form in question.forms.items()
        )
