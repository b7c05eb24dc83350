"""Annotation files of each kind with mutations: refused in a line, or read without dropping a row."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import json_text, mutated_bytes, mutated_value, read_or_refuse

from iglue_plugins.data.annotations.caching import read_annotations
from iglue_plugins.data.annotations.readers import read_answers
from iglue_plugins.data.unpickling import safe_load_file

Make, Read = Callable[..., dict[str, Any]], Callable[[str, str, bytes], "Rows | None"]
LABELS = ("contradiction", "neutral", "entailment")
ANSWERS = ("no", "yes", "red")
ID_KEYS = {
    "xvnli": "pairID",
    "marvl": "id",
    "nlvr2": "identifier",
    "captions": "img_path",
    "first_captions": "img_path",
}


class Rows(list):
    """The examples of a file; `left_out` is the number of those without a label."""

    left_out = 0


@pytest.fixture
def read(tmp_path: Path) -> Iterator[Read]:
    """Reads a file of a kind with some content; None if it is refused."""
    numbers = count()

    def read_content(kind: str, suffix: str, content: bytes) -> Rows | None:
        path = tmp_path / f"{next(numbers)}{suffix}"
        path.write_bytes(content)
        labels = {"xvnli": LABELS, "gqa": ANSWERS}.get(kind, ("False", "True"))
        found = read_or_refuse(
            lambda: read_annotations(path, kind, language="en", store="s", labels=labels, keep_unknown=kind == "gqa")
        )
        path.unlink()
        if found is None:
            return None
        rows = Rows(found.examples[:][column] for column in ("id", "image_ids", "text", "label", "caption"))
        rows = Rows(zip(*rows, strict=True))
        rows.left_out = found.counts.unlabelled
        for file in (tmp_path / "cache" / "iglue_plugins").iterdir():
            file.unlink()
        return rows

    yield read_content


def annotations(annotation: Make, kind: str) -> list[dict[str, Any]]:
    make_kind = kind.removeprefix("first_")
    return [annotation(make_kind, **{ID_KEYS[kind]: f"{number}-0-{number}"}) for number in range(5)]


def lines(entries: list[Any]) -> list[bytes]:
    return [json.dumps(entry, ensure_ascii=False).encode() for entry in entries]


def rows_of_line(kind: str, line: bytes) -> int:
    return len(json.loads(line.decode("utf-8-sig"))["sentences"]) if kind == "captions" else 1


@pytest.mark.parametrize("kind", ID_KEYS)
@given(data=st.data())
def test_mutated_bytes_of_json_lines(kind: str, data: st.DataObject, annotation: Make, read: Read) -> None:
    content = data.draw(mutated_bytes(b"\n".join(lines(annotations(annotation, kind)))))
    rows = read(kind, ".jsonl", content)
    if rows is not None:
        expected = sum(rows_of_line(kind, line) for line in content.split(b"\n") if line.strip())
        assert len(rows) + rows.left_out == expected


@pytest.mark.parametrize("kind", ID_KEYS)
@given(data=st.data())
def test_a_mutated_value_of_json_lines_leaves_the_other_lines(
    kind: str, data: st.DataObject, annotation: Make, read: Read
) -> None:
    entries = annotations(annotation, kind)
    whole = lines(entries)
    number = data.draw(st.integers(0, len(entries) - 1))
    changed = data.draw(mutated_value(entries[number]).flatmap(json_text))
    expected = read(kind, ".jsonl", b"\n".join(whole))
    rows = read(kind, ".jsonl", b"\n".join([*whole[:number], changed, *whole[number + 1 :]]))
    if rows is not None:
        per_line = rows_of_line(kind, whole[0])
        before, after = number * per_line, (len(entries) - 1 - number) * per_line
        assert rows[:before] == expected[:before]
        assert rows[len(rows) - after :] == expected[len(expected) - after :]
        assert len(rows) + rows.left_out == before + rows_of_line(kind, changed) + after


ASKED = {"question": "Is it?"}
QUESTIONS = {
    "by id": {str(n): {"imageId": f"n{n}", "question": "¿Está?", "answer": "no"} for n in range(5)},
    "a list": [{"question_id": n, "img_id": f"n{n}", "sent": "¿?", "label": {"no": 1.0, "red": 0.3}} for n in range(5)],
    "places": [{"question_id": n, "image_id": n, "labels": [1, 2], "scores": [0.3, 1], **ASKED} for n in range(5)],
}


@pytest.mark.parametrize("form", QUESTIONS)
@given(data=st.data())
def test_mutated_questions(form: str, data: st.DataObject, read: Read) -> None:
    questions = QUESTIONS[form]
    text = json.dumps(questions).encode()
    values = mutated_value(questions).flatmap(json_text)
    content = data.draw(st.one_of(mutated_bytes(text), values))
    rows = read("gqa", ".json", content)
    if rows is not None:
        assert len(rows) == len(json.loads(content.decode("utf-8-sig")))


@pytest.mark.parametrize("protocol", [0, 4])
@pytest.mark.parametrize("form", QUESTIONS)
@given(data=st.data())
def test_mutated_pickles_of_questions(
    form: str, protocol: int, data: st.DataObject, read: Read, tmp_path: Path
) -> None:
    questions = QUESTIONS[form]
    pickled = mutated_bytes(pickle.dumps(questions, protocol))
    values = mutated_value(questions).map(lambda value: pickle.dumps(value, protocol))
    content = data.draw(st.one_of(pickled, values))
    rows = read("gqa", ".pkl", content)
    if rows is not None:
        (tmp_path / "again.pkl").write_bytes(content)
        assert len(rows) == len(safe_load_file(tmp_path / "again.pkl"))


@pytest.mark.parametrize("vocabulary", [list(ANSWERS), {answer: place for place, answer in enumerate(ANSWERS)}])
@given(data=st.data())
def test_a_mutated_answer_vocabulary(vocabulary: Any, data: st.DataObject, tmp_path: Path) -> None:
    text = json.dumps(vocabulary).encode()
    as_json = st.one_of(mutated_bytes(text), mutated_value(vocabulary).flatmap(json_text)).map(lambda c: (c, ".json"))
    as_pickle = st.one_of(mutated_bytes(pickle.dumps(vocabulary)), mutated_value(vocabulary).map(pickle.dumps))
    content, suffix = data.draw(st.one_of(as_json, as_pickle.map(lambda c: (c, ".pkl"))))
    path = tmp_path / f"answers{suffix}"
    path.write_bytes(content)
    answers = read_or_refuse(lambda: read_answers(path))
    if answers is not None:
        content = safe_load_file(path) if suffix == ".pkl" else json.loads(content.decode("utf-8-sig"))
        assert len(answers) == len(content) and set(answers) == set(content)
