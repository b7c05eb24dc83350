"""The YAML file of a user's own data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iglue_plugins.tasks.custom.facts import CustomFacts, read_facts
from iglue_plugins.tasks.custom.kinds import IMAGE_PAIR, NLI, RETRIEVAL, VQA, Kind
from iglue_plugins.utils.errors import UserError

Describe = Callable[..., Path]


def problems(path: Path, kind: Kind = NLI) -> list[str]:
    with pytest.raises(UserError) as raised:
        read_facts(path, kind, f"task custom/{kind.name}")
    lines = str(raised.value).split("\n")
    assert all(line.startswith(f"{path}: ") for line in lines), lines
    return [line.removeprefix(f"{path}: ") for line in lines]


def test_all_problems_at_once(describe: Describe) -> None:
    text = (
        "pictures: images\nlanguage: [en]\nlanguages: [en, de, de]\nmax_text_length: lots\n"
        "columns: {txt: premise, id: 3}\nsplits: {train: [a]}\nlabels: 3\n"
    )
    assert sorted(problems(describe(text))) == [
        "columns.id: found 3, expected a valid string",
        "columns.txt: found an unknown key, expected a key of the data of task custom/nli; did you mean 'text'?",
        "labels: found 3, expected a list",
        "language: found an unknown key, expected a key of the data of task custom/nli; did you mean 'languages'?",
        "max_text_length: found 'lots', expected a valid integer",
        "splits.train: found ['a'], expected a valid string",
    ]


def test_all_contradictions_at_once(describe: Describe) -> None:
    path = describe(
        pictures=None,
        languages=["de", "fr", "de"],
        auxiliary_languages=["tr"],
        splits={"train": "a", "dev": "a", "others": ["hard", "test", "hard"]},
        columns={"images": ["left", "right"]},
        labels=["a", "b", "a"],
        labels_file="labels.json",
        aligned="c",
    )
    assert sorted(problems(path)) == [
        "aligned: found 'c', expected one of the labels a, b, a",
        "auxiliary_languages.0: found 'tr', expected one of the languages de, fr, de",
        "columns.images: found 2 fields, expected 1 for task custom/nli",
        "labels.2: 'a' stands twice; name each label once",
        "labels_file: labels are listed too; keep one of the two keys",
        "languages.2: 'de' stands twice; name each language once",
        "names neither regions nor pictures; set one of them, or both",
        "source_language: found 'en', expected one of the languages de, fr, de",
        "splits.dev: 'a' is the name of train too; give each split another name",
        "splits.others.1: 'test' names another split; name each split once",
        "splits.others.2: 'hard' names another split; name each split once",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- 1\n", "found [1], expected a mapping with keys such as source_language"),
        ("a: [1\n", "line 2: not valid YAML: "),
        ("pictures: a\npictures: b\n", "pictures: the key stands on lines 1 and 2; keep one of them"),
        ("when: 2020-01-01\npictures: !!python/name:os.system x\n", "line 2: not valid YAML: the tag"),
        ("", "names neither regions nor pictures; set one of them, or both"),
    ],
)
def test_a_file_that_is_no_mapping(text: str, problem: str, describe: Describe) -> None:
    assert problems(describe(text))[0].startswith(problem)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.yaml")[0].startswith("cannot be read (No such file or directory)")
    (tmp_path / "latin.yaml").write_bytes(b"pictures: \xe9\n")
    assert problems(tmp_path / "latin.yaml") == ["byte 0xe9 is not UTF-8; save the file as UTF-8"]


def test_one_label_is_too_few(describe: Describe) -> None:
    assert problems(describe(labels=["a"])) == ["labels: found ['a'], expected at least 2 labels"]


def test_retrieval_has_no_labels(describe: Describe) -> None:
    assert problems(describe(labels=["a", "b"], aligned="a"), RETRIEVAL) == [
        "labels: task custom/retrieval has no labels; leave the key out",
        "aligned: task custom/retrieval has no labels; leave the key out",
    ]


def test_numbers_and_booleans_as_labels_are_words(describe: Describe) -> None:
    facts = read_facts(describe("pictures: a\nlabels: [0, true, no]\naligned: true\n"), NLI, "task custom/nli")
    assert (facts.labels, facts.aligned) == (("0", "True", "no"), "True")


@pytest.mark.parametrize(
    ("kind", "columns", "expected"),
    [
        (NLI, {}, {"images": ("image",), "text": ("text",), "label": ("label",), "caption": ("caption",)}),
        (IMAGE_PAIR, {}, {"images": ("images",)}),
        (IMAGE_PAIR, {"images": ["left", "right"]}, {"images": ("left", "right")}),
        (RETRIEVAL, {"text": "caption"}, {"text": ("caption",), "caption": (), "label": ()}),
        (VQA, {"text": "question", "caption": "alt"}, {"text": ("question",), "caption": ("alt",)}),
    ],
)
def test_the_fields_of_each_kind(kind: Kind, columns: dict[str, Any], expected: dict[str, Any]) -> None:
    facts = CustomFacts.model_validate({"pictures": "a", "columns": columns})
    assert {name: facts.column(kind, name) for name in expected} == expected
