"""The numbers of examples by which tables are cut."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from iglue_plugins.reporting.quantities import QUANTITIES, read_quantities, text_lengths
from iglue_plugins.reporting.results import RunResult, read_result
from iglue_plugins.utils.errors import UserError


@pytest.mark.parametrize(
    ("texts", "unit", "lengths"),
    [
        (["A dog", "two big dogs, running", "", "?"], "words", [2, 4, 0, 0]),
        (["chat ?", "l'eau & le vin"], "words", [1, 3]),
        (["개와 고양이", "раз, два"], "words", [2, 2]),
        (["犬、猫", "ねこ と いぬ?", "TV"], "characters", [2, 5, 2]),
        (["หมา และแมว"], "characters", [9]),
        (["狗 in a long English text"], "words", [6]),
        (["", "12 3"], "words", [0, 2]),
    ],
)
def test_texts_are_measured_in_words_or_in_characters_of_scripts_without_spaces(
    texts: list[str], unit: str, lengths: list[int]
) -> None:
    found, numbers = text_lengths(texts)
    assert (found, numbers.tolist()) == (unit, lengths)


def facts(*objects: int, **more: int) -> list[dict[str, object]]:
    return [{"objects": number, "text": "word " * number, **more} for number in objects]


def read(folders: list[Path]) -> dict[str, dict[str, list[int]]]:
    results = [read_result(folder, "test") for folder in folders]
    found = read_quantities(results, ["de", "sw"], QUANTITIES)
    return {name: {key: of_key.tolist() for key, of_key in each.numbers.items()} for name, each in found.items()}


def test_numbers_are_in_the_order_of_the_ids(make_run) -> None:
    run = make_run("a", 0, {"de": "101", "sw": "101"}, facts={"de": facts(3, 1, 2), "sw": facts(5, 5, 4)})
    path = run / "predictions/test/de.jsonl"
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    result: RunResult = read_result(run, "test")
    assert read([run])["objects"] == {"de": [3, 1, 2], "sw": [5, 5, 4]}
    assert result.example_ids["de"] == ("de-0", "de-1", "de-2")


def test_the_first_run_that_tells_a_quantity_counts(make_run) -> None:
    hits = {"de": "10", "sw": "10"}
    old = make_run("old", 0, hits, facts={"sw": facts(8, 8)})
    pixels = make_run("pixels", 0, hits, facts={"de": facts(1, 2), "sw": facts(3, 3)})
    regions = make_run("regions", 0, hits, facts={"de": facts(9, 9, regions=36)})
    assert read([old, pixels, regions]) == {
        "objects": {"de": [1, 2], "sw": [8, 8]},
        "regions": {"de": [36, 36]},
        "length": {"de": [1, 2], "sw": [8, 8]},
        "unseen": {},
    }
    assert read([old])["regions"] == {}
    new = make_run("new", 0, hits, facts={"de": facts(1, 1, unseen=2)})
    assert read([old, new])["unseen"] == {"de": [2, 2]}


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("objects", -1, "line 2 has objects -1, but it has to be a whole number from 0, as in the first line"),
        ("objects", True, "line 2 has objects True, but"),
        ("objects", 2.0, "line 2 has objects 2.0, but"),
        ("objects", 2**40, "line 2 has objects 1099511627776, but"),
        ("unseen", "1", "line 2 has unseen '1', but it has to be a whole number"),
        ("regions", None, "line 2 has regions None, but"),
        ("text", 3, "line 2 has text 3, but it has to be a text"),
    ],
)
def test_what_somebody_has_written_by_hand_is_named_by_its_line(make_run, key, value, sentence) -> None:
    hits = {"de": "10", "sw": "10"}
    run = make_run("a", 0, hits, facts={name: facts(1, 2, regions=3, unseen=1) for name in hits})
    path = run / "predictions/test/sw.jsonl"
    first, second = map(json.loads, path.read_text().splitlines())
    path.write_text(f"{json.dumps(first)}\n{json.dumps(second | {key: value})}\n")
    with pytest.raises(UserError) as raised:
        read([run])
    assert str(raised.value).startswith(f"{path}: {sentence}")


def test_a_line_without_what_the_first_one_has_is_named(make_run) -> None:
    run = make_run("a", 0, {"de": "10", "sw": "10"}, facts={"de": facts(1)})
    with pytest.raises(UserError, match=r"de.jsonl: line 2 has objects None, but it has to be a whole number"):
        read([run])
