"""Stars, corrected intervals, verdicts by a margin and detectable differences, in words, tables and files."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import replace

import pytest
from rich.console import Console

from iglue_plugins.evaluation.significance import Difference
from iglue_plugins.experiments.compare import check_margin
from iglue_plugins.reporting import exports, matrix_exports
from iglue_plugins.reporting.comparison import build_comparison
from iglue_plugins.reporting.details import details, matrix_details
from iglue_plugins.reporting.interval_wording import describe_difference, difference_text, significance_mark
from iglue_plugins.reporting.matrix import SweepRow, build_matrix
from iglue_plugins.reporting.tables import ComparisonTable, MatrixTable
from iglue_plugins.reporting.wording import describe
from iglue_plugins.utils.errors import UserError

TARGETS = "2 target languages"


def make_difference(own, corrected, compared=3):
    return Difference(sum(own) / 2, *own, *corrected, *own, 1.0, compared=compared)


@pytest.mark.parametrize(
    ("difference", "mark"),
    [
        (make_difference((-1, 3), (-2, 4)), ""),
        (make_difference((1, 3), (-1, 5)), "*"),
        (make_difference((1, 3), (0.5, 3.5)), "**"),
        (make_difference((-3, -1), (-3.5, -0.5)), "**"),
        (make_difference((1, 3), (1, 3), compared=1), "*"),
        (None, ""),
    ],
)
def test_one_star_for_the_rows_own_interval_and_two_for_the_corrected_one(difference, mark):
    assert significance_mark(difference) == mark
    assert difference is None or difference_text(difference) == f"{difference.difference:+.1f}{mark}"


def test_a_claim_that_the_correction_does_not_bear_says_so():
    weak, strong = make_difference((1, 3), (-1, 5)), make_difference((1, 3), (0.5, 3.5))
    assert describe_difference("b", "a", weak, TARGETS) == (
        "b beats a by +2.0 [1.0, 3.0] points over 2 target languages, not shown if corrected for 3 rows: [-1.0, 5.0]"
    )
    assert describe_difference("b", "a", strong, TARGETS, 1.0) == (
        "b beats a by +2.0 [1.0, 3.0] points over 2 target languages; by a margin of 1 point: no worse"
    )


@pytest.fixture
def three_rows(two_rows, make_run):
    similar = {"en": "1111", "tr": "0000", "ar": "0110", "ru": "10000"}
    return [*two_rows, ("x_maml", [make_run("x_maml", seed, similar) for seed in (0, 1)])]


def printed(table, width=160):
    console = Console(width=width, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


def test_two_rows_need_no_correction(two_rows):
    comparison = build_comparison(two_rows)
    text = printed(ComparisonTable(comparison))
    assert "corrected" not in text and "**" not in text and "margin" not in text
    difference = comparison.rows[1].difference
    assert (difference.corrected_low, difference.corrected_high) == (difference.low, difference.high)


def test_a_table_of_three_rows_shows_both_intervals(three_rows):
    comparison = build_comparison(three_rows)
    text = printed(ComparisonTable(comparison))
    assert text.splitlines()[2].split()[-2:] == ["diff", "corrected"]
    row = next(line for line in text.splitlines() if line.startswith("xvl_maml "))
    assert row.split()[-1] == "+45.0**"
    below = text.splitlines()[text.splitlines().index(row) + 1]
    difference = comparison.rows[1].difference
    assert re.findall(r"\[\S+ \S+\]", below) == [
        f"[{difference.low:.1f}, {difference.high:.1f}]",
        f"[{difference.corrected_low:.1f}, {difference.corrected_high:.1f}]",
    ]
    assert difference.corrected_low <= difference.low and difference.high <= difference.corrected_high
    assert (
        "The corrected 95 % intervals hold for all 2 differences at once, by the same resamples; ** where these "
        "exclude 0 too."
    ) in details(comparison)


def test_a_margin_gives_verdicts_in_table_sentences_and_files(three_rows, tmp_path):
    comparison = build_comparison(three_rows, margin=2.5)
    text = printed(ComparisonTable(comparison), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"^ .* margin$\n^ .* 2.5$", text, re.MULTILINE)
    assert {"better", "undecided"} <= set(text.split())
    assert any(
        note.startswith("Verdicts by a margin of 2.5 points go by the 90 % interval") for note in details(comparison)
    )
    assert [sentence.rpartition("; ")[2] for sentence in describe(comparison)] == [
        "by a margin of 2.5 points: better",
        "by a margin of 2.5 points: undecided",
    ]
    paths = {path.suffix: path for path in exports.write([comparison], tmp_path)}
    content = json.loads(paths[".json"].read_text())
    assert content["margin"] == 2.5
    assert [row["difference"] and row["difference"]["verdict"] for row in content["rows"]] == [
        None,
        "better",
        "undecided",
    ]
    rows = list(csv.DictReader(io.StringIO(paths[".csv"].read_text())))
    assert [(row["verdict"], row["margin"]) for row in rows] == [("", ""), ("better", "2.5"), ("undecided", "2.5")]
    assert float(rows[1]["corrected_low"]) == pytest.approx(comparison.rows[1].difference.corrected_low)
    assert float(rows[1]["detectable"]) == pytest.approx(comparison.rows[1].difference.detectable)
    assert "| mean | difference | corrected | margin 2.5 points |" in paths[".md"].read_text()
    tex = paths[".tex"].read_text()
    assert r"margin 2.5 &  & better & undecided \\" in tex and "+45.0$^{**}$ &" in tex


def test_what_could_have_been_seen_is_said_for_each_row(three_rows):
    comparison = build_comparison(three_rows)
    sizes = [row.difference.detectable for row in comparison.rows[1:]]
    assert sizes == pytest.approx([2.8016 * row.difference.standard_error for row in comparison.rows[1:]], rel=1e-4)
    assert (
        f"A true difference of this many points is found with a power of 80 %: {sizes[0]:.1f} (xvl_maml); "
        f"{sizes[1]:.1f} (x_maml)."
    ) in details(comparison)
    same = replace(comparison, rows=(*comparison.rows[:2], replace(comparison.rows[1], label="again")))
    assert any(note.endswith(f": {sizes[0]:.1f} (xvl_maml, again).") for note in details(same))


def test_a_margin_without_a_difference_is_said_to_be_unused(two_rows):
    assert "The margin of 1 point is not used, since there is no difference to judge." in details(
        build_comparison(two_rows[:1], margin=1.0)
    )


def test_a_sweep_has_corrected_intervals_and_verdicts_too(three_rows, tmp_path):
    baseline, *rows = (SweepRow(label, {}, tuple(folders)) for label, folders in three_rows)
    matrix = build_matrix(rows, baseline, "test", ["en", "ar", "ru"], margin=1.0)
    text = printed(MatrixTable(matrix), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "corrected" in text and "margin" in text and "+45.0**" in text
    assert any("Verdicts by a margin of 1 point go by" in note for note in matrix_details(matrix))
    written = {path.name: path.read_text() for path in matrix_exports.write(matrix, tmp_path)}
    assert "| difference | corrected | margin 1 point |" in written["matrix.md"]
    lines = list(csv.DictReader(io.StringIO(written["matrix.csv"])))
    assert [line["verdict"] for line in lines] == ["", "better", "undecided"]


@pytest.mark.parametrize("margin", [0.0, -1.0, math.inf, math.nan])
def test_a_margin_that_is_none_is_refused(margin):
    with pytest.raises(UserError, match=f"^--margin: {margin:g} is no margin; give points above 0"):
        check_margin(margin)
    check_margin(0.1)
    check_margin(None)
