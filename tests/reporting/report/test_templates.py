"""The tables of a page."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from iglue_plugins.reporting.averages import average_over_tasks
from iglue_plugins.reporting.comparison import Comparison, PublishedRow, build_comparison, compare_results
from iglue_plugins.reporting.report.confusions import Confusion, ConfusionRow
from iglue_plugins.reporting.report.page import TaskSection, render
from iglue_plugins.reporting.results import read_rows

NASTY = '<b title="x">&'


@pytest.fixture
def comparison(two_rows: list[tuple[str, list[Path]]]) -> Comparison:
    first, second = two_rows
    return build_comparison([first, (NASTY, second[1])], margin=1.0)


def section(comparison: Comparison, **changes: Any) -> TaskSection:
    nothing: dict[str, Any] = dict.fromkeys(("bars", "matrix", "heat_map", "slices", "curves", "examples"))
    given = {"confusions": [], "confused_languages": ["ar"], "lacks": [], **changes}
    return TaskSection(task="mini/xvnli", seeds=(0, 1), comparison=comparison, **nothing, **given)


def cells(page: str, table: int = 0) -> list[list[str]]:
    """The texts of a table's cells."""
    found = re.findall(r'<table class="scores">.*?</table>', page, re.DOTALL)[table]
    rows = re.findall(r"<tr>(.*?)</tr>", found, re.DOTALL)
    parts = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return [[unescape(re.sub("<[^>]+>", " ", cell)).strip() for cell in row] for row in parts]


def test_scores_and_differences(comparison: Comparison) -> None:
    page = render([section(comparison)], None, "test")
    header, first, second = cells(page)
    assert header == ["row", "en source", "tr auxiliary", "ar", "ru", "mean", "difference", "margin 1 point"]
    assert first == ["finetune", "87.5 ±17.7", "12.5 ±17.7", "37.5 ±17.7", "30.0 ±14.1", "33.8 ±1.8", "", ""]
    assert second[:6] == [NASTY, "0.0 ±0.0", "100.0 ±0.0", "87.5 ±17.7", "70.0 ±14.1", "78.8 ±15.9"]
    assert re.fullmatch(r"\+45\.0\*+ \[.+\]", second[6])
    assert second[7] == "better"
    assert "seed 0: 100.0; seed 1: 75.0" in page
    assert NASTY not in page


def test_published_rows_stand_below_a_heading(comparison: Comparison) -> None:
    published = PublishedRow(NASTY, "m", "zero_shot", "0", {"en": 50.0, "ar": 40.04}, None)
    page = render([section(replace(comparison, published=(published,)))], None, "test")
    *_, heading, row = cells(page)
    assert heading[0] == "published by Bugliarello et al. 2022"
    assert row == [NASTY, "50.0", "-", "40.0", "-", "-", "", ""]
    assert NASTY not in page


def test_an_average_stands_first(two_rows: list[tuple[str, list[Path]]]) -> None:
    results = read_rows(two_rows, "test")
    one = compare_results(results, "test")
    other = replace(one, task="other")
    page = render([section(one)], average_over_tasks([one, other], [results, results]), "test")
    assert cells(page)[0] == ["row", "mini/xvnli", "other", "average", "difference"]
    assert cells(page)[2][3] == "78.8 ±15.9"
    assert page.index('id="average"') < page.index('id="task-mini-xvnli"')


def test_confusions_are_shaded_and_long_ones_listed(comparison: Comparison) -> None:
    matrix = Confusion(
        "row", ("a", "b"), (ConfusionRow("a", (75.0, 25.0), 4), ConfusionRow("b", (0, 100.0), 2)), (), 1, 6
    )
    page = render([section(comparison, confusions=[matrix])], None, "test")
    assert re.findall(r'class="number shade-(\d+)">([\d.]+)<', page) == [
        ("8", "75.0"), ("2", "25.0"), ("0", "0.0"), ("10", "100.0"),
    ]  # fmt: skip
    assert "16.7 % of 6 answers are wrong" in page
    listed = Confusion(NASTY, (), (), (("yes", NASTY, 3),), 3, 6)
    page = render([section(comparison, confusions=[listed])], None, "test")
    assert "the commonest wrong answers" in page
    assert NASTY not in page
