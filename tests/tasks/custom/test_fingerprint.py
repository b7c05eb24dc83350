"""The fingerprint of a user's own data: what is read, wherever it lies and however it is written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iglue_plugins.tasks.custom.task import CustomTask

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]


@pytest.fixture
def fingerprint(make: Callable[..., CustomTask]) -> Callable[..., str]:
    def of(kind: str = "nli", **settings: Any) -> str:
        return make(kind, **settings).fingerprint("train", "en")

    return of


@pytest.fixture
def base(row: Make, put: Write, describe: Write, fingerprint: Callable[..., str]) -> str:
    put(row(0, caption="c"), row(1, caption="d"))
    describe()
    return fingerprint()


def test_what_does_not_count(
    base: str, fingerprint: Callable[..., str], row: Make, put: Write, describe: Write, data: Path, tmp_path: Path
) -> None:
    assert fingerprint(folder=shutil.copytree(data, tmp_path / "copy")) == base
    put(row(0, caption="c"), row(1, caption="d"), row(2, split="test"), row(3, language="de"), row(4, split="dev"))
    assert fingerprint() == base  # rows of other splits and languages
    rows = [
        row(number, text=None, language=None, hypothesis=f"text {number}", caption="cd"[number]) for number in (0, 1)
    ]
    put(*rows, file="en.jsonl")
    (data / "data.jsonl").unlink()
    describe(files="{language}.jsonl", columns={"text": "hypothesis"}, auxiliary_languages=["en"])
    assert fingerprint() == base  # the same examples, written otherwise


@pytest.mark.parametrize(
    "change",
    [
        {"text": "other"},
        {"label": "entailment"},
        {"caption": "other"},
        {"id": "other"},
        {"image": "other.jpg"},
    ],
)
def test_examples_count(
    change: dict[str, Any], base: str, fingerprint: Callable[..., str], row: Make, put: Write
) -> None:
    put(row(0, caption="c"), row(1, **({"caption": "d"} | change)))
    assert fingerprint() != base


def test_order_labels_and_limits_count(
    base: str, fingerprint: Callable[..., str], row: Make, put: Write, describe: Write
) -> None:
    found = {base}
    for facts in ({"labels": ["neutral", "entailment"]}, {"max_text_length": 20}, {"max_boxes": 3}):
        describe(**facts)
        found.add(fingerprint())
    describe()
    put(row(1, caption="d"), row(0, caption="c"))
    found.add(fingerprint())
    assert len(found) == 5


def test_shots_count(row: Make, put: Write, describe: Write, make: Callable[..., CustomTask]) -> None:
    put(*(row(number, split="few_shot", shots=number) for number in (1, 2, 3)))
    describe()
    found = [make().fingerprint("few_shot", "en", shots) for shots in (1, 2, 3, None)]
    assert len(set(found)) == 3
    assert found[2] == found[3]  # all of them


def test_the_content_of_pictures_counts(base: str, fingerprint: Callable[..., str], data: Path) -> None:
    (data / "images").mkdir()
    (data / "images" / "9.jpg").write_bytes(b"of no row")
    assert fingerprint() == base
    (data / "images" / "1.jpg").write_bytes(b"one")
    one = fingerprint()
    (data / "images" / "1.jpg").write_bytes(b"another")
    assert len({base, one, fingerprint()}) == 3


def test_the_store_counts(base: str, fingerprint: Callable[..., str], describe: Write, put_regions: Write) -> None:
    describe(pictures=None, regions="regions")
    found = {base, fingerprint()}
    put_regions("01", seed=0)
    found.add(fingerprint())
    put_regions("01", seed=1, store="others")
    describe(pictures=None, regions="others")
    found.add(fingerprint())
    assert len(found) == 4


def test_the_file_of_hard_negatives_counts_by_content(
    base: str, fingerprint: Callable[..., str], describe: Write, tmp_path: Path
) -> None:
    file = tmp_path / "hard_negative.pkl"
    missing = fingerprint("retrieval", hard_negatives_file=str(file))
    file.write_bytes(b"one")
    one = fingerprint("retrieval", hard_negatives_file=str(file))
    copy = shutil.copy(file, tmp_path / "copy.pkl")
    assert fingerprint("retrieval", hard_negatives_file=str(copy)) == one != missing == fingerprint("retrieval")
