"""Comparisons as tables of LaTeX."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from iglue_plugins.published import PublishedFigures
from iglue_plugins.reporting.comparison import Comparison, build_comparison
from iglue_plugins.reporting.details import details
from iglue_plugins.reporting.external_rows import with_published
from iglue_plugins.reporting.latex import table_latex
from iglue_plugins.reporting.latex_layout import PAGE_COLUMN, broken, escape, width_of
from iglue_plugins.reporting.notes import notes

IGLUE_LANGUAGES = "en ar bn de es fr id ja ko pt ru sw ta tr zh".split()
ODD = "fine_tune & co | 100% [x] {y} $z ~ ^ # \\ <a> \"b\" 'c' `d`"
COMPILERS = ("pdflatex", "tectonic")
COMPILER = next(filter(shutil.which, COMPILERS), None)
# The narrowest column, and an article's page.
DOCUMENT = r"""\documentclass[twocolumn]{article}
\usepackage{booktabs}
\setlength{\textwidth}{448pt}
\setlength{\columnsep}{10pt}
\begin{document}
%s
\end{document}
"""


@pytest.fixture
def compare(make_run: Callable[..., Path]) -> Callable[..., Comparison]:
    """Gives a function that compares rows of two seeds in some languages, the second row and others on auxiliary tr."""

    def build(labels: list[str], languages: list[str]) -> Comparison:
        hits = {language: "1" * (3 + index) + "0" * 7 for index, language in enumerate(languages)}
        fewer = {language: of_language.replace("1", "0", 1) for language, of_language in hits.items()}
        rows = [
            (label, [make_run(f"row{number}", seed, of_seed) for seed, of_seed in enumerate((hits, fewer))])
            for number, label in enumerate(labels)
        ]
        return build_comparison(rows)

    return build


def rows_of(text: str) -> list[list[str]]:
    return [line.removesuffix(r" \\").split(" & ") for line in text.splitlines() if " & " in line]


def test_many_languages_are_rows(compare: Callable[..., Comparison]) -> None:
    comparison = compare(["finetune", "xvl_maml"], IGLUE_LANGUAGES)
    text = table_latex(comparison, notes(comparison))
    assert text.startswith("\\begin{table}\n") and text.endswith("\\end{table}\n") and text.count(r"\toprule") == 1
    rows = rows_of(text)
    assert rows[0] == ["", "finetune", r"xvl\_\allowbreak{}maml"]
    assert [row[0] for row in rows[1:]] == ["en (src)", *IGLUE_LANGUAGES[1:], "mean", "difference", "interval"]
    score = comparison.rows[1].languages["ar"]
    assert rows[2][2] == rf"{score.mean:.1f}$_{{\pm{score.std:.1f}}}$"
    assert text.index(r"\midrule", text.index("zh & ")) < text.index("mean & ")


def test_few_languages_are_columns_where_they_fit(compare: Callable[..., Comparison]) -> None:
    comparison = compare(["finetune"], ["en", "ar", "ru"])
    rows = rows_of(table_latex(comparison, notes(comparison)))
    assert rows[0] == ["", "en (src)", "ar", "ru", "mean"]
    assert rows[1][0] == "finetune" and len(rows) == 2


def test_what_does_not_fit_is_in_another_block_and_nothing_is_lost(compare: Callable[..., Comparison]) -> None:
    labels = [f"a_long_name_of_row_{number}" for number in range(9)]
    comparison = compare(labels, IGLUE_LANGUAGES)
    text = table_latex(comparison, notes(comparison))
    assert text.count(r"\toprule") > 1 and text.count(r"\begin{table}") > 1
    assert ", continued" in text.partition(r"\end{table}")[2]
    cells = [cell for row in rows_of(text) for cell in row if "pm" in cell]
    assert len(cells) == 9 * 16
    mean = [row[1:] for row in rows_of(text) if row[0] == "mean"]
    expected = [rf"{row.target_mean.mean:.1f}$_{{\pm{row.target_mean.std:.1f}}}$" for row in comparison.rows]
    assert sum(mean, []) == expected


def test_labels_are_escaped_and_true_minus_signs_are_in_numbers_only() -> None:
    assert escape("-45.0* [-1.2, 3.0] uc-2") == "$-$45.0$^{*}$ {[}$-$1.2, 3.0] uc-2"
    assert escape("87.5 ±17.7") == r"87.5$_{\pm17.7}$"
    assert escape("a_b & 100% #1 $x {y}") == r"a\_\allowbreak{}b \& 100\% \#1 \$x \{y\}"


@pytest.mark.parametrize("label", ["xvl_maml_inner_lr_0", "x" * 60, "a b, c=0.1", "", ODD])
def test_labels_are_broken_into_lines_that_fit(label: str) -> None:
    lines = broken(label, 42.0)
    assert lines and all(width_of(line) <= 42.0 for line in lines)
    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", label)


@pytest.mark.skipif(COMPILER is None, reason=f"no LaTeX is installed here ({' or '.join(COMPILERS)})")
def test_tables_compile_and_fit_a_column_of_a_page(compare: Callable[..., Comparison], tmp_path: Path) -> None:
    wide = compare(["finetune", "xvl_maml", "auxiliary_finetune", "xvl_maml_inner_lr_0"], IGLUE_LANGUAGES)
    figures = PublishedFigures("ctrl_xuniter", "translate_train", "0", "accuracy", {"ar": 50.25, "ru": 7.0})
    tables = [
        wide,
        replace(wide, margin=2.5),
        with_published(wide, [figures] * 7),
        compare([f"row {number}, trainer.learning_rate=0.00{number}" for number in range(12)], IGLUE_LANGUAGES),
        compare(["finetune", ODD], IGLUE_LANGUAGES[:8]),
        with_published(compare(["finetune"], ["en", "ar", "ru"]), [figures]),
        compare([ODD], ["en", "ar"]),
        compare(["[a]", "*b", "-1"], ["en", "ar", "ru", "sw"]),
    ]
    texts = [table_latex(table, below(table)) for table in tables for below in (notes, details)]
    texts = [text for text in texts if text.count("labelled") < 12]  # all that is known of twelve rows fills a page
    (tmp_path / "tables.tex").write_text(DOCUMENT % "\n".join(f"{text}\\clearpage" for text in texts), encoding="utf-8")
    options = ["-interaction=nonstopmode", "-halt-on-error"] if COMPILER == "pdflatex" else ["--keep-logs"]
    ended = subprocess.run(
        [str(COMPILER), *options, "tables.tex"], cwd=tmp_path, capture_output=True, text=True, errors="replace"
    )
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    log = (tmp_path / "tables.log").read_text(encoding="utf-8", errors="replace")
    assert (tmp_path / "tables.pdf").stat().st_size > 10_000
    assert not re.findall(r"Overfull \\hbox.*", log) and PAGE_COLUMN == 219.0
    assert not re.findall(r".*Float too large.*", log)
