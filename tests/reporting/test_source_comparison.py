"""A sweep from several sources: the table of all sources, its files and its heat map."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from iglue_plugins.reporting.matrix import Matrix, SweepRow, build_matrix
from iglue_plugins.reporting.source_comparison import SourceComparison, compare_sources
from iglue_plugins.reporting.source_exports import SourceTable, source_cells, write_sources
from iglue_plugins.reporting.source_heat_map import source_figure

LANGUAGES = ["en", "de", "sw", "ta", "tr", "ar"]
HITS = {"sw": 4, "ta": 2, "de": 1, "tr": 3}  # of ten in Arabic, by auxiliary language


@pytest.fixture
def matrix(make_run: Callable[..., Path]) -> Callable[..., Matrix]:
    """Makes the matrix of a source, whose rows have one hit of ten more than the baseline for each of HITS."""

    def make(source: str | list[str], hits: dict[str, int], baseline: bool = True) -> Matrix:
        def row(label: str, count: int, trained_on: tuple[str, ...]) -> SweepRow:
            of_ten = "1" * (2 + count) + "0" * (8 - count)
            scores = dict.fromkeys(LANGUAGES, of_ten)
            run = make_run(label, 0, scores, source_language=source, training_languages=list(trained_on))
            return SweepRow(label, {"auxiliary_languages": label} if trained_on else {}, (run,))

        rows = [row(language, count, (language,)) for language, count in hits.items()]
        return build_matrix(rows, row("finetune", 0, ()) if baseline else None, "test", LANGUAGES)

    return make


@pytest.fixture
def comparison(matrix: Callable[..., Matrix]) -> SourceComparison:
    turned = {"sw": 1, "ta": 3, "de": 4, "ar": 0, "tr": 2}
    several = {language: count for language, count in HITS.items() if language != "de"}
    return compare_sources(
        {"en": matrix("en", HITS), "ja": matrix("ja", turned), "en+de": matrix(["en", "de"], several)}
    )


def test_each_source_stands_against_its_own_baseline(comparison: SourceComparison) -> None:
    english, japanese, several = comparison.rows
    assert comparison.labels == ("sw", "ta", "de", "ar", "tr")
    assert {label: each.difference for label, each in english.differences.items()} == pytest.approx(
        {label: 10.0 * count for label, count in HITS.items()}
    )
    assert english.mean_difference == pytest.approx(25.0)
    assert japanese.baseline is not None and japanese.baseline.mean == 20.0
    assert japanese.mean_difference == pytest.approx(20.0)
    assert "de" not in several.means


def test_agreement_is_the_rank_correlation_over_shared_settings(comparison: SourceComparison) -> None:
    english, japanese, several = comparison.rows
    assert english.agreement is None  # the first, to which the others are compared
    assert japanese.agreement == pytest.approx(-1.0)
    assert several.agreement is None  # three settings are too few


def test_equal_ranks_share_their_mean(matrix: Callable[..., Matrix]) -> None:
    tied = compare_sources({"en": matrix("en", HITS), "ja": matrix("ja", {"sw": 2, "ta": 1, "de": 1, "tr": 2})})
    # Ranks 4, 2, 1, 3 and 3.5, 1.5, 1.5, 3.5
    assert tied.rows[1].agreement == pytest.approx(4 / (5 * 4) ** 0.5)
    constant = compare_sources({"en": matrix("en", HITS), "ja": matrix("ja", dict.fromkeys(HITS, 1))})
    assert constant.rows[1].agreement is None


def test_cells_and_files(comparison: SourceComparison, tmp_path: Path) -> None:
    header, english, _, several = source_cells(comparison)
    assert header == ["source", "baseline", "sw", "ta", "de", "ar", "tr", "mean", "as en"]
    assert english[2].startswith("+40.0") and english[5] == ""
    assert several[0] == "en+de" and several[4] == ""
    table, markdown = write_sources(comparison, tmp_path)
    lines = list(csv.DictReader(io.StringIO(table.read_text())))
    assert len(lines) == 4 + 5 + 3
    assert (lines[0]["source"], lines[0]["label"], float(lines[0]["difference"])) == ("en", "sw", pytest.approx(40.0))
    assert markdown.read_text().count("\n| ") == 5  # header, rule and three sources


def test_without_baselines_cells_are_means(matrix: Callable[..., Matrix]) -> None:
    bare = compare_sources({"en": matrix("en", HITS, baseline=False), "ja": matrix("ja", HITS, baseline=False)})
    header, english, japanese = source_cells(bare)
    assert header == ["source", "sw", "ta", "de", "tr", "as en"]
    assert (english[1:], japanese[-1]) == (["60.0", "40.0", "30.0", "50.0", ""], "1.00")
    assert source_figure(bare).axes


def test_a_narrow_console_has_several_tables(comparison: SourceComparison) -> None:
    console = Console(file=io.StringIO(), width=40)
    console.print(SourceTable(comparison))
    assert console.file.getvalue().count("en+de") > 1  # type: ignore[attr-defined]


def test_the_heat_map_has_the_cells(comparison: SourceComparison) -> None:
    texts = [text.get_text() for text in source_figure(comparison).axes[0].texts]
    assert [text for text in texts if text] == [
        cell for row in source_cells(comparison)[1:] for cell in row[2:7] if cell
    ]
