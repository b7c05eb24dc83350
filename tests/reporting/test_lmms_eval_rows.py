"""lmms-eval's results beside the rows of runs."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from iglue_plugins.published import PublishedFigures
from iglue_plugins.reporting import exports
from iglue_plugins.reporting.comparison import Comparison, build_comparison
from iglue_plugins.reporting.details import details
from iglue_plugins.reporting.external_rows import with_lmms_eval, with_published
from iglue_plugins.reporting.lmms_eval_results import LMMSEvalResult
from iglue_plugins.reporting.plots import MARKERS, drawn_external_rows
from iglue_plugins.reporting.tables import ComparisonTable
from iglue_plugins.reporting.wording import describe
from iglue_plugins.utils.errors import UserError

EXAMPLES = {"en": 4, "tr": 4, "ar": 4, "ru": 5}
FIGURES = {"en": 75.0, "tr": 50.0, "ar": 25.0, "ru": 60.0}
COMPLETE = LMMSEvalResult(Path("a_results.json"), "some_vl", "org/Some_VL", FIGURES, EXAMPLES)
PARTIAL = LMMSEvalResult(Path("b_results.json"), "dummy", "", {"ar": 20.0, "ja": 1.0}, {"ar": 4, "ja": 9})


@pytest.fixture
def runs_only(two_rows: list[tuple[str, list[Path]]]) -> Comparison:
    """Source en, auxiliary tr, targets ar and ru."""
    return build_comparison(two_rows)


@pytest.fixture
def with_external(runs_only: Comparison) -> Comparison:
    return with_lmms_eval(runs_only, [COMPLETE, PARTIAL])


def test_the_mean_is_over_the_comparisons_targets(with_external: Comparison) -> None:
    complete, partial = with_external.lmms_eval
    assert (complete.label, complete.languages, complete.target_mean) == ("some_vl Some_VL", FIGURES, 42.5)
    assert (partial.label, partial.languages, partial.target_mean) == ("dummy", {"ar": 20.0}, None)


def test_lmms_eval_rows_change_nothing_else(runs_only: Comparison, with_external: Comparison) -> None:
    assert with_lmms_eval(with_external, []) == runs_only
    assert describe(with_external) == describe(runs_only)
    assert details(with_external)[:-1] == details(runs_only)
    assert details(with_external)[-1].endswith("their mean is over the same target languages (- where one is lacking).")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"examples": EXAMPLES | {"ru": 2}}, "a_results.json: has 2 documents in 'ru', but the runs are scored on 5"),
        ({"languages": {"ja": 1.0}}, "a_results.json: has results in ja, but the runs are scored in en, tr, ar, ru"),
    ],
)
def test_other_examples_are_refused(runs_only: Comparison, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=f"^{sentence}"):
        with_lmms_eval(runs_only, [replace(COMPLETE, **changes)])


def test_another_metric_or_split_is_refused(make_run: Any) -> None:
    for changes in ({"main_metric": "recall@1"}, {"split": "dev"}):
        metric, split = changes.get("main_metric", "accuracy"), changes.get("split", "test")
        scores = {split: {"ru": {metric: 50.0, "examples": 2}}}
        run = make_run("finetune", 0, {"ru": "10"}, **{"split": split, "scores": scores, "main_metric": metric})
        with pytest.raises(UserError, match=f"^--lmms-eval: the runs are scored by {metric} on split '{split}'"):
            with_lmms_eval(build_comparison([("finetune", [run])], split), [COMPLETE])


def test_blocks_stand_below_each_other(with_external: Comparison) -> None:
    every = with_published(with_external, [PublishedFigures("uc2", "zero_shot", "0", "accuracy", {"ar": 30.0})])
    console = Console(width=160, file=io.StringIO())
    console.print(ComparisonTable(every))
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    starts = [line.split(" ")[0] for line in lines]
    order = [starts.index(word) for word in ("finetune", "published", "uc2", "evaluated", "some_vl", "dummy")]
    assert order == sorted(order)
    row = next(line for line in lines if line.startswith("some_vl"))
    assert row.split()[2:] == ["75.0", "50.0", "25.0", "60.0", "42.5"]


def test_files_mark_the_rows_of_lmms_eval(with_external: Comparison, tmp_path: Path) -> None:
    exports.write([with_external], tmp_path)
    with (tmp_path / "comparison.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["lmms_eval"] for row in table] == ["", "", "a_results.json", "b_results.json"]
    assert [table[2][key] for key in ("label", "ar", "mean", "trainer", "published_by")] == [
        "some_vl Some_VL",
        "25.0",
        "42.5",
        "",
        "",
    ]
    content = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert content["lmms_eval"][1] == {
        "label": "dummy",
        "model": "dummy",
        "checkpoint": "",
        "file": "b_results.json",
        "languages": {"ar": 20.0},
        "target_mean": None,
    }
    markdown = (tmp_path / "comparison.md").read_text(encoding="utf-8").splitlines()
    assert markdown[6].startswith("| *evaluated by lmms-eval* |")
    assert markdown[7] == r"| some\_vl Some\_VL | 75.0 | 50.0 | 25.0 | 60.0 | 42.5 |  |"
    assert r"\emph{evaluated by lmms-eval}" in (tmp_path / "comparison.tex").read_text(encoding="utf-8")


def test_the_chart_draws_a_few_rows_as_markers(with_external: Comparison) -> None:
    assert [(row.label, kind) for row, kind in drawn_external_rows(with_external)] == [
        ("some_vl Some_VL", "lmms-eval"),
        ("dummy", "lmms-eval"),
    ]
    figures = [PublishedFigures("uc2", "zero_shot", "0", "accuracy", {"ar": 30.0})] * (len(MARKERS) - 1)
    assert drawn_external_rows(with_published(with_external, figures)) == []
