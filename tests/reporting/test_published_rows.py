"""Published figures beside the rows of runs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from rich.console import Console

from iglue_plugins.published import SOURCE, PublishedFigures
from iglue_plugins.reporting import exports
from iglue_plugins.reporting.comparison import Comparison, build_comparison
from iglue_plugins.reporting.details import details
from iglue_plugins.reporting.external_rows import with_published
from iglue_plugins.reporting.plots import MARKERS, bar_chart
from iglue_plugins.reporting.tables import ComparisonTable
from iglue_plugins.reporting.wording import describe
from iglue_plugins.utils.errors import UserError

COMPLETE = PublishedFigures(
    "uc2", "zero_shot", "0", "accuracy", {"en": 75.0, "tr": 50.0, "ar": 30.25, "ru": 40.0, "fr": 99.0}
)
PARTIAL = PublishedFigures("m$p_x", "few_shot", "48", "accuracy", {"ar": 20.0})


@pytest.fixture
def runs_only(two_rows: list[tuple[str, list[Path]]]) -> Comparison:
    """Source en, auxiliary tr, targets ar and ru."""
    return build_comparison(two_rows)


@pytest.fixture
def with_external(runs_only: Comparison) -> Comparison:
    return with_published(runs_only, [COMPLETE, PARTIAL])


def test_the_mean_is_over_the_comparisons_targets(with_external: Comparison) -> None:
    complete, partial = with_external.published
    assert complete.languages == {"en": 75.0, "tr": 50.0, "ar": 30.25, "ru": 40.0}
    assert complete.target_mean == pytest.approx(35.125)
    assert (complete.label, partial.label) == ("uc2 zero-shot", "m$p_x few-shot 48")
    assert (partial.languages, partial.target_mean) == ({"ar": 20.0}, None)


def test_published_rows_change_nothing_else(runs_only: Comparison, with_external: Comparison) -> None:
    assert with_published(with_external, []) == runs_only
    assert describe(with_external) == describe(runs_only)
    assert details(with_external)[: len(details(runs_only))] == details(runs_only)


def test_figures_in_another_metric_are_refused(runs_only: Comparison) -> None:
    recall = PublishedFigures("uc2", "zero_shot", "0", "recall@1", {"ar": 1.0, "ru": 1.0})
    with pytest.raises(UserError, match="^--published: the runs are scored by accuracy, but .* by recall@1"):
        with_published(runs_only, [recall])


def test_the_note_says_where_they_are_from_and_what_is_averaged(
    runs_only: Comparison, with_external: Comparison
) -> None:
    (note,) = details(with_external)[len(details(runs_only)) :]
    assert note.startswith(f"Published figures: {SOURCE}, IGLUE, ICML; repository e-bug/iglue")
    assert note.endswith("their mean is over the same target languages (- where one is lacking).")
    assert details(with_published(runs_only, [COMPLETE]))[-1].endswith("over the same target languages.")


def test_the_note_of_retrieval_says_what_its_recall_is(make_run: Any) -> None:
    scores = {"test": {"ru": {"recall@1": 50.0, "examples": 2}}}
    run = make_run("finetune", 0, {"ru": "10"}, main_metric="recall@1", scores=scores)
    recall = PublishedFigures("uc2", "zero_shot", "0", "recall@1", {"ru": 10.0})
    note = details(with_published(build_comparison([("finetune", [run])]), [recall]))[-1]
    assert note.endswith("; their recall@1 is the mean of the published image and text recall@1.")


def test_figures_over_unlabelled_examples_too_are_given_over_the_labelled_ones(make_run: Any) -> None:
    """889 of XVNLI's 1,164 test rows are right, 14 of which have no label."""
    figures = [PublishedFigures("uc2", "zero_shot", "0", "accuracy", {"en": 76.375, "ar": 50.0})]
    run = make_run("finetune", 0, {"en": "10" * 575, "ar": "10" * 582}, task="xvnli")
    comparison = with_published(build_comparison([("finetune", [run])]), figures)
    assert comparison.published[0].languages["en"] == pytest.approx(100 * 889 / 1150, abs=1e-3)
    assert comparison.published[0].languages["ar"] == 50.0
    assert details(comparison)[-1].endswith(
        "they count the 14 of 1164 examples without a label as wrong, and are given "
        "over the other 1150, as all rows are."
    )
    other = make_run("finetune", 0, {"en": "10" * 575, "ar": "10"}, task="marvl")
    unchanged = with_published(build_comparison([("finetune", [other])]), figures)
    assert unchanged.published[0].languages == {"en": 76.375, "ar": 50.0}
    assert "1164" not in details(unchanged)[-1]


@pytest.mark.parametrize("width", [160, 45])
def test_the_terminal_has_them_in_a_block_of_their_own(with_external: Comparison, width: int) -> None:
    console = Console(width=width, file=io.StringIO())
    console.print(ComparisonTable(with_external))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    rows = [line.split() for line in lines if line.startswith(("finetune ", "published", SOURCE, "uc2", "m$p_x"))]
    figures = [row[2:] for row in rows if row[0] == "uc2"], [row[3:] for row in rows if row[0] == "m$p_x"]
    assert [sum(of_row, []) for of_row in figures] == [
        ["75.0", "50.0", "30.2", "40.0", "35.1"],
        ["-", "-", "20.0", "-", "-"],
    ]
    assert [row[0] for row in rows][:5] == ["finetune", "published", "Bugliarello", "uc2", "m$p_x"]


def test_csv_marks_them_and_leaves_what_they_lack_empty(with_external: Comparison, tmp_path: Path) -> None:
    exports.write([with_external], tmp_path)
    with (tmp_path / "comparison.csv").open(encoding="utf-8", newline="") as file:
        finetune, xvl_maml, uc2, partial = csv.DictReader(file)
    assert [row["published_by"] for row in (finetune, xvl_maml, uc2, partial)] == ["", "", SOURCE, SOURCE]
    assert [uc2[key] for key in ("label", "en", "tr", "ar", "ru", "mean")] == [
        "uc2 zero-shot",
        "75.0",
        "50.0",
        "30.25",
        "40.0",
        "35.125",
    ]
    assert [uc2[key] for key in ("trainer", "seeds", "steps", "ar_std", "mean_std", "difference")] == [""] * 6
    assert [partial[key] for key in ("en", "ar", "ru", "mean")] == ["", "20.0", "", ""]


def test_json_has_them_beside_the_rows(with_external: Comparison, tmp_path: Path) -> None:
    exports.write([with_external], tmp_path)
    content = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert len(content["rows"]) == 2
    assert content["published"][1] == {
        "label": "m$p_x few-shot 48",
        "model": "m$p_x",
        "setting": "few_shot",
        "shots": "48",
        "languages": {"ar": 20.0},
        "target_mean": None,
    }


def test_markdown_and_tex_have_a_heading_over_them(with_external: Comparison, tmp_path: Path) -> None:
    exports.write([with_external], tmp_path)
    markdown = (tmp_path / "comparison.md").read_text(encoding="utf-8").splitlines()
    assert markdown[6:9] == [
        f"| *published by {SOURCE}* |  |  |  |  |  |  |",
        "| uc2 zero-shot | 75.0 | 50.0 | 30.2 | 40.0 | 35.1 |  |",
        r"| m\$p\_x few-shot 48 | - | - | 20.0 | - | - |  |",
    ]
    tex = (tmp_path / "comparison.tex").read_text(encoding="utf-8").splitlines()
    heading = tex.index(rf"\multicolumn{{3}}{{@{{}}l@{{}}}}{{\emph{{published by {SOURCE}}}}} \\")
    assert r"tr (aux) & 50.0 & - \\" in tex[heading:]
    assert r"mean & 35.1 & - \\" in tex[heading:]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Lists the figures that are saved."""
    figures: list[Figure] = []
    save = Figure.savefig

    def remember(figure: Figure, *args: Any, **kwargs: Any) -> None:
        figures.append(figure)
        save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", remember)
    return figures


def markers(figure: Figure) -> dict[str, list[float]]:
    return {
        line.get_label(): line.get_ydata().tolist()
        for line in figure.axes[0].get_lines()
        if line.get_marker() in MARKERS
    }


def test_a_few_rows_are_drawn_as_markers(with_external: Comparison, drawn: list[Figure], tmp_path: Path) -> None:
    bar_chart(with_external, tmp_path / "chart.png")
    found = markers(drawn[0])
    assert found["uc2 zero-shot (published)"] == [75.0, 50.0, 30.25, 40.0, pytest.approx(35.125)]
    assert str(found[r"m\$p_x few-shot 48 (published)"]) == "[nan, nan, 20.0, nan, nan]"
    labels = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert labels == ["finetune", "xvl_maml", "uc2 zero-shot (published)", r"m\$p_x few-shot 48 (published)"]


def test_the_axis_begins_below_the_lowest_marker(make_run: Any, drawn: list[Figure], tmp_path: Path) -> None:
    runs_only = build_comparison([("finetune", [make_run("finetune", 0, {"ru": "11110"})])])
    low = PublishedFigures("uc2", "zero_shot", "0", "accuracy", {"ru": 33.0})
    for comparison in (runs_only, with_published(runs_only, [low])):
        bar_chart(comparison, tmp_path / "chart.png")
    assert [figure.axes[0].get_ylim()[0] for figure in drawn] == [70, 30]


def test_more_rows_than_markers_are_not_drawn(runs_only: Comparison, drawn: list[Figure], tmp_path: Path) -> None:
    bar_chart(with_published(runs_only, [COMPLETE] * (len(MARKERS) + 1)), tmp_path / "chart.png")
    assert markers(drawn[0]) == {}


def test_the_legend_fits(make_run: Any, drawn: list[Figure], tmp_path: Path) -> None:
    runs_only = build_comparison([("finetune", [make_run("finetune", 0, {"ru": "10", "de": "10"})])])
    long = PublishedFigures("ctrl_xuniter", "translate_train", "0", "accuracy", {"ru": 33.0})
    bar_chart(with_published(runs_only, [long] * len(MARKERS)), tmp_path / "chart.png")
    drawn[0].canvas.draw()
    legend = drawn[0].legends[0].get_window_extent()
    assert legend.x0 >= 0 and legend.x1 <= drawn[0].bbox.width
