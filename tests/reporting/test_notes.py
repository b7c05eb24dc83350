"""The notes below tables: whole sentences, and at most five."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iglue_plugins.published import PublishedFigures
from iglue_plugins.reporting.comparison import Comparison, build_comparison
from iglue_plugins.reporting.details import details
from iglue_plugins.reporting.external_rows import with_published
from iglue_plugins.reporting.notes import notes

PUBLISHED = PublishedFigures("uc2", "zero_shot", "0", "accuracy", {"ar": 20.0})


def is_sentence(note: str) -> bool:
    return note[0] != " " and note.endswith(".") and re.search(r"\b(is|are|was|were|have|has|differ|weigh)\b", note)


def test_everything_at_once_takes_five_sentences(two_rows: list[tuple[str, list[Path]]]) -> None:
    comparison = replace(with_published(build_comparison(two_rows), [PUBLISHED]), margin=1.5)
    found = notes(comparison)
    assert len(found) == 5 and all(map(is_sentence, found)), found
    difference = comparison.rows[1].difference
    assert difference is not None
    assert found[1] == (
        "Differences are to finetune, in points, with 95 % intervals of 2000 paired bootstrap resamples of 9 examples "
        "and 2 seeds (* where they exclude 0); verdicts go by a margin of 1.5 points; true ones of "
        f"{difference.detectable:.1f} points are found with a power of 80 %."
    )
    assert (
        found[2].startswith("The predictions tell no images")
        and "; the examples weigh as much as 8.9 equal" in found[2]
    )
    assert found[3].startswith("finetune was trained from the model's own weights for 150 steps of 64")
    assert found[4].startswith("Published figures (") and found[4].endswith("(- where one is lacking).")
    assert len(details(comparison)) > len(found)


def test_equal_rows_are_described_once(two_rows: list[tuple[str, list[Path]]]) -> None:
    _, *_, training = notes(build_comparison([two_rows[0], ("again", two_rows[0][1])]))
    assert training == "Every row was trained from the model's own weights for 150 steps of 64 labelled examples."


@pytest.fixture
def many_rows(make_run: Callable[..., Path]) -> Callable[..., Comparison]:
    def build(*records: dict[str, Any]) -> Comparison:
        hits = {"en": "10", "ar": "10"}
        return build_comparison(
            [(f"row {index}", [make_run("x", 0, hits, **record)]) for index, record in enumerate(records)]
        )

    return build


def test_many_kinds_of_rows_are_named_by_what_differs(many_rows: Callable[..., Comparison]) -> None:
    comparison = many_rows(*({"steps": steps} for steps in range(5)))
    assert notes(comparison)[-1] == "Rows differ in steps, which --notes lists."
    assert any(sentence.startswith("Rows differ in labels or steps: row 0:") for sentence in details(comparison))


def test_adapted_rows_say_on_what(many_rows: Callable[..., Comparison]) -> None:
    adaptation = {"summary": "on 10 shots", "languages": {}}
    assert notes(many_rows({}, {"adaptation": adaptation}))[-1].endswith(
        "row 1 was trained from the model's own weights for 150 steps of 64 labelled examples, to a model for each "
        "language but the source on 10 shots."
    )
