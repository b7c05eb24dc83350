"""The matrix of a sweep: its means, its best row, and the files and table that hold it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from iglue_plugins.reporting import matrix_exports
from iglue_plugins.reporting.details import matrix_details
from iglue_plugins.reporting.matrix import Matrix, SweepRow, build_matrix
from iglue_plugins.reporting.tables import MatrixTable
from iglue_plugins.reporting.wording import describe_matrix
from iglue_plugins.utils.errors import UserError

LANGUAGES = ["en", "tr", "ru", "ar"]
BEFORE = {"en": "1111", "tr": "1000", "ru": "1000", "ar": "1000", "unused": "1"}


def row(
    make_run: Callable[..., Path], label: str, hits: dict[str, str], trained_on: tuple[str, ...] = (), seeds: int = 1
) -> SweepRow:
    """Makes a row of runs with equal scores, except that the second seed has one hit less in Arabic."""
    of_seeds = [hits, hits | {"ar": hits["ar"].replace("1", "0", 1)}][:seeds]
    runs = [make_run(label, seed, scores, training_languages=list(trained_on)) for seed, scores in enumerate(of_seeds)]
    return SweepRow(label, {"auxiliary_languages": "+".join(trained_on)} if trained_on else {}, tuple(runs))


@pytest.fixture
def matrix(make_run: Callable[..., Path]) -> Matrix:
    """Trained on Turkish: +25 in Russian, +50 and +25 in Arabic. On Russian: 0 in Turkish, +25 and 0 in Arabic."""
    rows = [
        row(make_run, "tr", BEFORE | {"tr": "1111", "ru": "1100", "ar": "1110"}, ("tr",), seeds=2),
        row(make_run, "ru", BEFORE | {"ru": "1111", "ar": "1100"}, ("ru",), seeds=2),
    ]
    return build_matrix(rows, row(make_run, "finetune", BEFORE, seeds=2), "test", LANGUAGES)


def test_means_are_over_languages_that_were_not_trained_on(matrix: Matrix) -> None:
    before, tr, ru = matrix.all_rows
    assert matrix.languages == ("en", "tr", "ru", "ar")
    assert (tr.unseen, ru.unseen, before.unseen) == (("ru", "ar"), ("tr", "ar"), ("tr", "ru", "ar"))
    assert matrix.common == ("ar",)
    assert tr.languages["ar"].per_seed == (75, 50)
    assert (tr.unseen_mean.per_seed, ru.unseen_mean.per_seed) == ((62.5, 50), (37.5, 25))
    assert (tr.common_mean.mean, ru.common_mean.mean, before.common_mean.mean) == (62.5, 37.5, 12.5)
    assert tr.unseen_mean.std == pytest.approx(8.8388, abs=1e-4)


def test_differences_are_over_the_languages_that_a_row_was_not_trained_on(matrix: Matrix) -> None:
    before, tr, ru = matrix.all_rows
    assert before.difference is None
    assert tr.difference.difference == pytest.approx(((50 + 50) / 2 + (25 + 25) / 2) / 2)
    assert ru.difference.difference == pytest.approx(((25 + 25) / 2 + 0) / 2)


def test_the_best_row_leads_over_common_languages(matrix: Matrix) -> None:
    assert matrix.best == "tr"
    assert [(lead.other, lead.languages, lead.difference.difference) for lead in matrix.differences_of_best] == [
        ("finetune", ("ar",), pytest.approx(50)),
        ("ru", ("ar",), pytest.approx(25)),
    ]
    said = describe_matrix(matrix)
    assert said[0] == "best of 2 rows by the mean over the 1 target language that no row was trained on: tr"
    assert said[1:] == [
        "no difference shown between tr and finetune: +50.0 [0.0, 100.0] points over 1 target language",
        "no difference shown between tr and ru: +25.0 [0.0, 75.0] points over 1 target language",
    ]


def test_without_common_languages_the_difference_to_the_baseline_ranks(make_run: Callable[..., Path]) -> None:
    easy = BEFORE | {"ru": "1111"}  # where tr, not trained on Russian, has the higher mean but gains nothing
    rows = [row(make_run, "tr", easy, ("tr", "ar")), row(make_run, "ru", BEFORE | {"tr": "1100"}, ("ru",))]
    matrix = build_matrix(rows, row(make_run, "finetune", easy), "test", ["en", "tr", "ru", "ar"])
    assert (matrix.common, matrix.best) == ((), "ru")
    assert [lead.other for lead in matrix.differences_of_best] == [
        "finetune"
    ]  # no language is unseen by both tr and ru
    assert describe_matrix(matrix)[0] == (
        "best of 2 rows by the difference to finetune over the target languages that a row was not trained on: ru"
    )
    assert all(of_row.common_mean is None for of_row in matrix.all_rows)


def test_one_seed_has_no_deviation_and_no_baseline_no_difference(make_run: Callable[..., Path]) -> None:
    rows = [row(make_run, "steps=1", BEFORE), row(make_run, "steps=2", BEFORE | {"ar": "1111"})]
    matrix = build_matrix(rows, None, "test", ["tr", "ru", "ar"])
    assert [(of_row.unseen_mean.std, of_row.difference) for of_row in matrix.all_rows] == [(None, None)] * 2
    assert (matrix.best, matrix.baseline, matrix.means_differ) == ("steps=2", None, False)
    assert [lead.other for lead in matrix.differences_of_best] == ["steps=1"]
    assert "One seed (0)." in matrix_details(matrix)
    assert matrix_details(matrix)[0] == "The mean is over 3 target languages, without source en."
    alone = build_matrix(rows[:1], None, "test", ["tr"])
    assert (describe_matrix(alone), alone.differences_of_best) == ([], ())


def test_rows_without_unseen_languages_or_scores_are_an_error(make_run: Callable[..., Path]) -> None:
    every = row(make_run, "all", BEFORE, ("tr", "ru", "ar"))
    with pytest.raises(UserError, match="^row 'all': was trained on every target language among en, tr, ru, ar"):
        build_matrix([every], None, "test", LANGUAGES)
    with pytest.raises(UserError, match=r"has no scores of test/sw; evaluate the run on it$"):
        build_matrix([every], None, "test", ["sw"])


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_files(matrix: Matrix, tmp_path: Path) -> None:
    written = matrix_exports.write(matrix, tmp_path / "new")
    assert [path.name for path in written] == ["matrix.csv", "scores.csv", "matrix.md"]
    before, tr, ru = read(written[0])
    assert list(tr) == [
        "label",
        "auxiliary_languages",
        "trained_on",
        *LANGUAGES,
        "mean_unseen",
        "mean_unseen_std",
        "mean_common",
        "mean_common_std",
        "difference",
        "difference_low",
        "difference_high",
        *("corrected_low", "corrected_high", "equivalence_low", "equivalence_high", "standard_error", "detectable"),
        *("verdict", "margin"),
    ]
    assert (tr["auxiliary_languages"], tr["trained_on"], tr["tr"], tr["mean_unseen"]) == ("tr", "tr", "100.0", "56.25")
    assert (before["auxiliary_languages"], before["difference"], before["mean_common"]) == ("", "", "12.5")
    lines = read(written[1])
    assert len(lines) == 3 * 2 * 4
    turkish = [line for line in lines if line["language"] == "tr"]
    assert [(line["label"], line["seed"], line["role"], line["score"]) for line in turkish] == [
        ("finetune", "0", "target", "25.0"),
        ("finetune", "1", "target", "25.0"),
        ("tr", "0", "auxiliary", "100.0"),
        ("tr", "1", "auxiliary", "100.0"),
        ("ru", "0", "target", "25.0"),
        ("ru", "1", "target", "25.0"),
    ]
    assert {line["role"] for line in lines if line["language"] == "en"} == {"source"}
    text = written[2].read_text()
    assert "|  | en (source) | tr | ru | ar | mean | common | difference | corrected |" in text
    assert "| tr | 100.0 | (100.0) | 50.0 | 62.5 | 56.2 ±8.8 | 62.5 ±17.7 | +37.5" in text
    assert "- best of 2 rows by the mean" in text and "- Scores are means over 2 seeds (0, 1)" in text


def test_the_table(matrix: Matrix) -> None:
    console = Console(width=160, file=io.StringIO())
    console.print(MatrixTable(matrix))
    lines = console.file.getvalue().splitlines()
    assert lines[1].split() == ["en", "tr", "ru", "ar"]
    assert lines[2].split() == ["src", "mean", "common", "diff", "corrected"]
    before, tr, _ = (line.split() for line in lines[4:7])
    assert before == ["finetune", "100.0", "25.0", "25.0", "12.5", "20.8", "±5.9", "12.5", "±17.7"]
    assert tr[:9] == ["tr", "100.0", "(100.0)", "50.0", "62.5", "56.2", "±8.8", "62.5", "±17.7"]
    assert tr[9].startswith("+37.5") and tr[10].startswith("[")
    assert lines[7].startswith("Scores are means over 2 seeds (0, 1) with standard deviations; a row's mean is without")
    full = Console(width=160, file=io.StringIO())
    full.print(MatrixTable(matrix, full=True))
    assert "Cells: mean over 2 seeds (0, 1)." in full.file.getvalue().splitlines()
