"""The readers of annotation files: their examples, and their errors for damaged files."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iglue_plugins.data.annotations.readers import READERS, Example, read_answers
from iglue_plugins.utils.errors import UserError

Make, Write = Callable[..., dict[str, Any]], Callable[..., Path]


class Malicious:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path("ran").touch, ()


def read(kind: str, path: Path, *labels: str) -> list[Example]:
    return list(READERS[kind](path, labels))


def test_xvnli_reads_hypotheses_with_premises_as_captions(
    annotation: Make, json_lines: Write, labels: tuple[str, ...]
) -> None:
    unlabelled = annotation("xvnli", gold_label="-", pairID="43", Flikr30kID="43")
    assert read("xvnli", json_lines(annotation("xvnli"), unlabelled), *labels) == [
        ("42.jpg#2r1c", ("42",), "Está contenta.", "neutral", "Una mujer ríe."),
        ("43", ("43",), "Está contenta.", "-", "Una mujer ríe."),
    ]


@pytest.mark.parametrize(
    ("label", "word"),
    [
        (True, "True"),
        (False, "False"),
        ("True", "True"),
        ("False", "False"),
        ("true", "True"),
        ("false", "False"),
    ],
)
@pytest.mark.parametrize("kind", ["marvl", "nlvr2"])
def test_boolean_labels_are_read_in_all_spellings(
    kind: str, label: str | bool, word: str, annotation: Make, json_lines: Write
) -> None:
    assert [example.label for example in read(kind, json_lines(annotation(kind, label=label)))] == [word]


def test_marvl_with_and_without_the_concepts_folder(annotation: Make, json_lines: Write) -> None:
    few_shot = annotation("marvl", left_img="39-Panci/39-n-5.jpg", right_img="39-Panci/39-n-3.jpg")
    assert read("marvl", json_lines(annotation("marvl"), few_shot)) == [
        ("id-7", ("39-0", "39-12"), "Ada dua panci.", "False", None),
        ("id-7", ("39-n-5", "39-n-3"), "Ada dua panci.", "False", None),
    ]


def test_nlvr2_names_images_after_the_pair(annotation: Make, json_lines: Write) -> None:
    assert read("nlvr2", json_lines(annotation("nlvr2"))) == [
        ("dev-850-0-1", ("dev-850-0-img0", "dev-850-0-img1"), "Two dogs.", "True", None)
    ]


def test_a_byte_order_mark_is_skipped(annotation: Make, json_lines: Write) -> None:
    path = json_lines(annotation("marvl"))
    expected = read("marvl", path, "False", "True")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read("marvl", path, "False", "True") == expected


def test_every_caption_is_an_example(annotation: Make, json_lines: Write) -> None:
    path = json_lines(annotation("captions"), annotation("captions", img_path="7.jpg", sentences=["a"]))
    first, second, third = read("captions", path, "match")
    assert first == ("COCO_val2014_000000000042#0", ("COCO_val2014_000000000042",), "Ein Hund.", "match", None)
    assert (second.id, second.text, second.images) == ("COCO_val2014_000000000042#1", "Ein Tier.", first.images)
    assert (third.id, third.images) == ("7#0", ("7",))


def test_only_the_first_of_translated_captions_is_read(annotation: Make, json_lines: Write) -> None:
    assert [example.text for example in read("first_captions", json_lines(annotation("captions")), "match")] == [
        "Ein Hund."
    ]


def test_gqa_reads_questions_by_id(annotation: Make, tmp_path: Path) -> None:
    path = tmp_path / "test.json"
    path.write_text(json.dumps({"202": annotation("gqa"), "071": annotation("gqa", imageId=99)}))
    assert read("gqa", path, "no") == [
        ("202", ("n161313",), "¿Está nublado?", "no", "¿Está nublado? no"),
        ("071", ("99",), "¿Está nublado?", "no", "¿Está nublado? no"),
    ]


JSON_QUESTIONS = [
    {"img_id": "n1", "label": {"maybe": 0.3, "yes": 1.0}, "question_id": "071", "sent": "Is it?"},
    {"img_id": "n2", "label": {}, "question_id": 8, "sent": "What?"},
]
PICKLED_QUESTIONS = [
    {"question_id": "071", "image_id": "n1", "question": "Is it?", "labels": [2, 1], "scores": [0.3, 1.0]},
    {"question_id": 8, "image_id": "n2", "question": "What?", "labels": [], "scores": []},
]


@pytest.mark.parametrize(
    ("name", "content"),
    [("valid.json", json.dumps(JSON_QUESTIONS).encode()), ("val_target.pkl", pickle.dumps(PICKLED_QUESTIONS))],
)
def test_questions_in_a_list_get_their_best_answer(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert read("gqa", tmp_path / name, "no", "yes", "maybe") == [
        ("071", ("n1",), "Is it?", "yes", "Is it? yes"),
        ("8", ("n2",), "What?", "-", "What? -"),
    ]


# Damaged files


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (
            "xvnli",
            {"gold_label": "neutrall"},
            "found gold_label 'neutrall', expected one of contradiction, neutral, "
            "entailment, -; did you mean 'neutral'?",
        ),
        ("xvnli", {"gold_label": None}, "found gold_label None, expected text"),
        ("xvnli", {"sentence2": ...}, "has no key 'sentence2' .its keys are Flikr30kID, captionID, gold_label, "),
        ("xvnli", {"sentence1": 3}, "found sentence1 3, expected text"),
        ("marvl", {"label": "maybe"}, "found label 'maybe', expected true or false"),
        ("marvl", {"label": 1}, "found label 1, expected true or false"),
        ("marvl", {"left_img": ["39-0.jpg"]}, r"found left_img \['39-0.jpg'\], expected text"),
        ("nlvr2", {"label": ...}, "has no key 'label' .its keys are identifier, "),
        ("captions", {"sentences": []}, r"found sentences \[\], expected a list of texts"),
        ("captions", {"sentences": "Ein Hund."}, "found sentences 'Ein Hund.', expected a list of texts"),
        ("captions", {"img_path": ...}, "has no key 'img_path'"),
    ],
)
def test_a_wrong_value_is_named_with_its_line(
    kind: str, changes: dict[str, Any], message: str, annotation: Make, json_lines: Write, labels: tuple[str, ...]
) -> None:
    path = json_lines(annotation(kind), annotation(kind, **changes))
    with pytest.raises(UserError, match=f"^{path}: line 2: {message}"):
        read(kind, path, *labels)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"gold_label": "neutral", "sent', "found JSON that is damaged or cut short "),
        (b"[1, 2]", "found list, expected an object with keys and values"),
        (b'{"gold_label": "neutr\xff"}', "found byte 0xff, which is not UTF-8; "),
    ],
)
def test_a_damaged_line_is_named(
    line: bytes, message: str, annotation: Make, json_lines: Write, labels: tuple[str, ...]
) -> None:
    path = json_lines(annotation("xvnli"))
    path.write_bytes(path.read_bytes() + b"\n" + line)  # after an empty line, which counts but is no annotation
    with pytest.raises(UserError, match=f"^{path}: line 3: {message}"):
        read("xvnli", path, *labels)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '{"1": {"imageId": "n1"',
            r"found JSON that is damaged or cut short \(.*, line 1, column 23\)",
        ),
        ('"a question"', "found str, expected questions by id or a list of them"),
        ('{"1": ["n1"]}', "question 1: found list, expected an object with keys and values"),
        (
            '{"1": {"imageId": "n1", "question": "Is it?"}}',
            "question 1: has no key 'answer' .its keys are imageId, ",
        ),
        ('{"1": {"imageId": null, "question": "Is it?", "answer": "no"}}', "question 1: found imageId None, expected "),
        ('[{"sent": "Is it?"}]', "entry 1: has no key 'question_id' .its keys are sent"),
        (
            '[{"question_id": 1, "img_id": "n1", "sent": "Is it?", "label": "no"}]',
            "entry 1: found label 'no', expected answers with their scores",
        ),
        (
            '[{"question_id": 1, "image_id": "n1", "question": "Is it?", "labels": [2], "scores": [1.0]}]',
            r"entry 1: found labels \[2\] with scores \[1.0\], expected labels from 0 to 1 ",
        ),
        (
            '[{"question_id": 1, "img_id": "n1", "sent": "Is it?", "label": {"no": "1"}}]',
            "entry 1: found label {'no': '1'}, expected answers with their scores",
        ),
        (
            '[{"question_id": 1, "image_id": "n1", "question": "Is it?", "labels": 0, "scores": 1.0}]',
            "entry 1: found labels 0 with scores 1.0, expected labels from 0 to 1 ",
        ),
        (
            '[{"question_id": 1, "image_id": "n1", "question": "Is it?", "labels": [0, 1], "scores": [1.0]}]',
            r"entry 1: found labels \[0, 1\] with scores \[1.0\], expected .* a score for each",
        ),
    ],
)
def test_damaged_questions_are_named(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "test.json"
    path.write_text(content)
    with pytest.raises(UserError, match=f"^{path}: {message}"):
        read("gqa", path, "no", "yes")


@pytest.mark.parametrize("kind", READERS)
def test_a_file_that_cannot_be_read_is_named(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{tmp_path}: cannot be read "):
        read(kind, tmp_path, "match")


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "train_target.pkl"
    path.write_bytes(pickle.dumps([Malicious()]))
    for reading in (lambda: read("gqa", path, "no"), lambda: read_answers(path)):
        with pytest.raises(UserError, match=f"^{path}: the pickle asks for "):
            reading()
    assert not (tmp_path / "ran").exists()


# The answer vocabulary


@pytest.mark.parametrize("answers", [["yes", "no", "maybe"], {"no": 1, "maybe": 2, "yes": 0}])
@pytest.mark.parametrize(
    ("suffix", "dump"), [("json", lambda content: json.dumps(content).encode()), ("pkl", pickle.dumps)]
)
def test_answers_are_read_in_their_order(
    answers: Any, suffix: str, dump: Callable[[Any], bytes], tmp_path: Path
) -> None:
    (tmp_path / f"answers.{suffix}").write_bytes(dump(answers))
    assert read_answers(tmp_path / f"answers.{suffix}") == ("yes", "no", "maybe")


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"yes": 0, "no": 2}, "found dict, expected a list of answers, or an object"),
        ({"yes": 0, "no": 0}, "found dict, expected a list of answers, or an object"),
        ({"1": {"question": "Is it?"}}, "found dict, expected a list of answers, or an object"),
        (["yes", 2], "found list, expected a list of answers, or an object"),
        (["yes", "no", "yes"], "found 1 answers twice, expected each once"),
    ],
)
def test_answers_without_an_order_are_refused(answers: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(answers))
    with pytest.raises(UserError, match=f"^{path}: {message}"):
        read_answers(path)
