"""Reading and checking rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iglue_plugins.tasks.custom.facts import CustomFacts
from iglue_plugins.tasks.custom.files import DataFile
from iglue_plugins.tasks.custom.kinds import IMAGE_PAIR, NLI, RETRIEVAL, VQA, Kind
from iglue_plugins.tasks.custom.rows import Row, RowReader
from iglue_plugins.utils.errors import UserError

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]


def read(
    path: Path, kind: Kind = NLI, language: str | None = None, split: str | None = None, **facts: Any
) -> list[Row]:
    given = CustomFacts.model_validate({"pictures": "images"} | facts)
    reader = RowReader(given, kind, given.languages or ("en", "de"), kind.labels)
    return list(reader.read(DataFile(path, language, split)))


def problems(path: Path, *arguments: Any, **facts: Any) -> list[str]:
    with pytest.raises(UserError) as raised:
        read(path, *arguments, **facts)
    lines = str(raised.value).split("\n")
    assert all(line.startswith(f"{path}: ") for line in lines), lines
    return [line.removeprefix(f"{path}: ") for line in lines]


def test_a_row(row: Make, put: Write) -> None:
    path = put(
        row(caption="a text"), row(1, split="few_shot", shots=5, language="de", image=7, id=8), "", row(2, caption=None)
    )
    assert read(path) == [
        Row("row 0", ("0",), "text 0", "en", "neutral", "a text", "train", None),
        Row("8", ("7",), "text 1", "de", "neutral", None, "few_shot", 5),
        Row("row 2", ("2",), "text 2", "en", "neutral", None, "train", None),
    ]


def test_fields_by_other_names(put: Write) -> None:
    path = put({"n": 1, "photo": "a/b.PNG", "hypothesis": "h", "premise": "p", "gold": "neutral", "part": "training"})
    columns = {
        "id": "n",
        "images": "photo",
        "text": "hypothesis",
        "caption": "premise",
        "label": "gold",
        "split": "part",
    }
    found = read(path, NLI, "de", columns=columns, splits={"train": "training"})
    assert found == [Row("1", ("a/b",), "h", "de", "neutral", "p", "training", None)]


def test_language_and_split_from_the_files_name(row: Make, put: Write) -> None:
    path = put(row(language=None, split=None), row(1, language="de", split="dev"))
    assert [(found.language, found.split) for found in read(path, NLI, "de", "dev")] == [("de", "dev")] * 2
    assert problems(path, NLI, "en", "test") == [
        "line 2: found split 'dev', but the file's name says 'test'; correct one of them",
    ]
    assert problems(path) == [
        "line 1: has no split in the field 'split'; add it, or put {split} into `files` where the files' names say it",
    ]
    assert problems(put(row(language=None))) == [
        "line 1: has no language in the field 'language'; add it, or put {language} into `files` where the files' "
        "names say it"
    ]
    assert read(put(row(language=None)), languages=["en"])[0].language == "en"


def test_two_images(row: Make, put: Write) -> None:
    rows = row(image=None, images=["a.jpg", "b.jpg"], label=True), row(1, image=None, images=[1, 2], label="False")
    assert [(found.images, found.label) for found in read(put(*rows), IMAGE_PAIR)] == [
        (("a", "b"), "True"),
        (("1", "2"), "False"),
    ]
    path = put(row(left="a.jpg", right="b.jpg", label=False))
    assert read(path, IMAGE_PAIR, columns={"images": ["left", "right"]})[0].images == ("a", "b")


def test_retrieval_needs_no_label_and_vqa_takes_any(row: Make, put: Write) -> None:
    (found,) = read(put(row(text=None, label=None, caption="a dog")), RETRIEVAL, columns={"text": "caption"})
    assert (found.text, found.label, found.caption) == ("a dog", "match", None)
    assert [found.label for found in read(put(row(label=3), row(1, label="trois")), VQA)] == ["3", "trois"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"label": "neutrl"},
            "found label 'neutrl', expected one of contradiction, entailment, neutral; did you mean 'neutral'?",
        ),
        ({"label": 3.5}, "found label 3.5, expected text or a whole number"),
        ({"label": None}, "has no key 'label' (its keys are id, image, language, split, text)"),
        ({"text": ["a"]}, "found text ['a'], expected text"),
        ({"text": " \t"}, "found text ' \\t', expected text; write it, or leave the row out"),
        ({"text": None}, "has no key 'text' (its keys are id, image, label, language, split)"),
        ({"caption": 3}, "found caption 3, expected text"),
        ({"image": None}, "has no key 'image' (its keys are id, label, language, split, text)"),
        ({"image": ".jpg"}, "found image '.jpg', expected an image's name"),
        ({"image": True}, "found image True, expected an image's name"),
        ({"image": ["a", "b"]}, "found image ['a', 'b'], expected an image's name"),
        ({"id": [1]}, "found id [1], expected text or a whole number"),
        ({"id": None}, "has no key 'id' (its keys are image, label, language, split, text)"),
        (
            {"split": "tran"},
            "found split 'tran', expected one of train, dev, test, few_shot, auxiliary; did you mean 'train'?",
        ),
        ({"split": 1}, "found split 1, expected text"),
        ({"language": "fr"}, "found language 'fr', expected one of en, de"),
        ({"split": "few_shot"}, "has no key 'shots' (its keys are id, image, label, language, split, text)"),
        (
            {"split": "few_shot", "shots": 0},
            "found shots 0, expected the smallest number of shots that includes the row",
        ),
        (
            {"split": "few_shot", "shots": "5"},
            "found shots '5', expected the smallest number of shots that includes the row",
        ),
    ],
)
def test_wrong_rows(changes: dict[str, Any], problem: str, row: Make, put: Write) -> None:
    found = problems(put(row("right"), row(**changes)))
    assert found == [f"line 2: {problem}"]


def test_a_field_that_is_asked_for_may_not_be_missing(row: Make, put: Write) -> None:
    path = put(row(premise=None), row(1, premise="a"))
    assert problems(path, columns={"caption": "premise"})[0].startswith("line 1: has no key 'premise'")


def test_an_id_twice_in_a_split_and_language(row: Make, put: Write) -> None:
    path = put(row(), row(1), row(split="dev"), row(language="de"))
    assert len(read(path)) == 4
    assert problems(put(row(), row(1), row(text="another"))) == [
        "line 3: the id 'row 0' is that of line 1 too; give each row of a split and language its own"
    ]


def test_bytes(row: Make, put: Write) -> None:
    good = b'{"id": 1, "image": "a", "text": "\xc3\xa9", "label": "neutral", "language": "en", "split": "dev"}'
    assert read(put(b"\xef\xbb\xbf" + good))[0].text == "é"  # a byte order mark is skipped
    found = problems(
        put(good.replace(b"\xc3", b"\xff"), "[1]", good[:40], good.replace(b'"id": 1', b'"id": 1, "id": 2'))
    )
    assert found[:2] == [
        "line 1: found byte 0xff, which is not UTF-8; save the file as UTF-8",
        "line 2: found list, expected an object with keys and values",
    ]
    assert found[2].startswith("line 3: found JSON that is damaged or cut short")
    assert "the key 'id' comes twice" in found[3]
    assert "is half of a surrogate pair" in problems(put(good.replace(b"\xc3\xa9", b"\\ud800")))[0]


def test_every_problem_of_a_file_and_a_common_one_once(row: Make, put: Write) -> None:
    rows = [row(number, label="yes") for number in range(9)]
    found = problems(put(row("a"), *rows, row("b"), row("c", text=3), row("c"), row("d", text=3)))
    assert found == [
        "lines 2, 3, 4, 5, 6, ... (9 in all): found label 'yes', expected one of contradiction, entailment, neutral",
        "lines 12, 14: found text 3, expected text",
    ]
    found = problems(put(*(row(number, label=f"label {number}") for number in range(30))))
    assert len(found) == 21
    assert found[-1] == "10 more things are wrong with its lines; correct these first"


def test_no_rows(put: Write) -> None:
    assert problems(put("", " ")) == ["has no rows; write a JSON object on each line"]
    assert problems(put().parent / "gone.jsonl")[0].startswith("cannot be read (No such file or directory)")


def test_the_digest_is_that_of_the_example(row: Make, put: Write) -> None:
    (found,) = read(put(row()))
    assert found.digest() == found._replace(split="dev", shots=3).digest()
    changes: list[dict[str, Any]] = [
        {"id": "1"}, {"images": ("1",)}, {"text": "t"}, {"language": "de"}, {"label": "entailment"}, {"caption": ""}
    ]  # fmt: skip
    digests = {found.digest(), *(found._replace(**change).digest() for change in changes)}
    assert len(digests) == 7
    assert all(len(digest) == 16 for digest in digests)
