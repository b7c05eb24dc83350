"""A comparison as files: for spreadsheets, programs, web pages and papers."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from iglue_plugins.published import SOURCE
from iglue_plugins.reporting.comparison import Comparison, LMMSEvalRow, PublishedRow, Row, Score
from iglue_plugins.reporting.wording import (
    SIGNIFICANT,
    blocks,
    describe,
    difference_text,
    figure_text,
    interval_text,
    mean_text,
    notes,
    role,
    std_text,
    title,
)
from iglue_plugins.utils.files import write_atomic

TEX_ESCAPES = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
)
MARKDOWN_ESCAPES = str.maketrans({character: f"\\{character}" for character in "\\`*_|<>[]"})


def write(comparison: Comparison, folder: Path) -> list[Path]:
    """Write comparison.csv, .json, .md and .tex into `folder`, each atomically, and return their paths.

    csv and json are unrounded: csv has a row per trainer, json each seed as well. md and tex hold the rounded table
    with its notes. Rows of others are marked in all of them: in csv by who published them or lmms-eval's file in the
    last columns, in json by keys of their own, in md and tex by headings.

    Raises:
        UserError: a file cannot be written.
    """
    texts = {"csv": _csv, "json": _json, "md": _markdown, "tex": _tex}
    return [
        write_atomic(Path(folder) / f"comparison.{suffix}", text(comparison).encode()) for suffix, text in texts.items()
    ]


def _csv(comparison: Comparison) -> str:
    rows = [_csv_row(comparison, row) for row in comparison.rows]
    rows += [_others_csv_row(comparison, row) | {"published_by": SOURCE} for row in comparison.published]
    rows += [_others_csv_row(comparison, row) | {"lmms_eval": row.file} for row in comparison.lmms_eval]
    return csv_text(rows)


def csv_text(rows: Sequence[Mapping[str, object]]) -> str:
    """With the columns of the first row; what another lacks is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _csv_row(comparison: Comparison, row: Row) -> dict[str, object]:
    """Columns in a fixed order; a value that does not exist (no deviation, no difference) is empty."""
    scores = {language: row.languages[language] for language in comparison.languages} | {"mean": row.target_mean}
    interval = row.difference
    return {
        "label": row.label,
        "trainer": row.trainer,
        "task": comparison.task,
        "split": comparison.split,
        "metric": comparison.metric,
        "source": comparison.source,
        "auxiliary": " ".join(comparison.auxiliary),
        "seeds": " ".join(map(str, comparison.seeds)),
        "training_languages": " ".join(row.training_languages),
        "labels_per_step": row.labels_per_step,
        "steps": row.steps,
        **{f"{name}{end}": value for name, score in scores.items() for end, value in _mean_and_std(score)},
        "difference": interval and interval.difference,
        "difference_low": interval and interval.low,
        "difference_high": interval and interval.high,
        "published_by": None,
        "lmms_eval": None,
    }


def _others_csv_row(comparison: Comparison, row: PublishedRow | LMMSEvalRow) -> dict[str, object]:
    """Of the columns, those that a row of others has."""
    return {
        "label": row.label,
        "task": comparison.task,
        "split": comparison.split,
        "metric": comparison.metric,
        "source": comparison.source,
        "auxiliary": " ".join(comparison.auxiliary),
        **row.languages,
        "mean": row.target_mean,
    }


def _mean_and_std(score: Score) -> tuple[tuple[str, float | None], ...]:
    return ("", score.mean), ("_std", score.std)


def _json(comparison: Comparison) -> str:
    content = {"format": 1, **asdict(comparison), "summary": describe(comparison), "notes": notes(comparison)}
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _header(comparison: Comparison) -> list[str]:
    named = [
        language if role(comparison, language) == "target" else f"{language} ({role(comparison, language)})"
        for language in comparison.languages
    ]
    return ["", *named, "mean", "difference"]


def _cells(comparison: Comparison, row: Row, escape: Callable[[str], str]) -> list[str]:
    scores = [*(row.languages[language] for language in comparison.languages), row.target_mean]
    difference = f"{difference_text(row.difference)} {interval_text(row.difference)}" if row.difference else ""
    return [
        escape(text) for text in (row.label, *(f"{mean_text(s)} {std_text(s)}".strip() for s in scores), difference)
    ]


def _others_cells(comparison: Comparison, row: PublishedRow | LMMSEvalRow, escape: Callable[[str], str]) -> list[str]:
    figures = [*(row.languages.get(language) for language in comparison.languages), row.target_mean]
    return [escape(row.label), *map(figure_text, figures), ""]


def _markdown(comparison: Comparison) -> str:
    escape = escape_markdown
    header = [escape(name) for name in _header(comparison)]
    body = [_cells(comparison, row, escape) for row in comparison.rows]
    for block in blocks(comparison):
        body += [
            [f"*{escape(block.heading)}*", *[""] * (len(header) - 1)],
            *(_others_cells(comparison, row, escape) for row in block.rows),
        ]
    return markdown_text(title(comparison), [header, *body], notes(comparison))


def escape_markdown(text: str) -> str:
    return text.translate(MARKDOWN_ESCAPES)


def markdown_text(heading: str, rows: Sequence[Sequence[str]], sentences: Sequence[str]) -> str:
    """A table of escaped cells, the header first, between its heading and what is to be said of it."""
    rule = ["---", *["---:"] * (len(rows[0]) - 1)]
    lines = [f"| {' | '.join(cells)} |" for cells in (rows[0], rule, *rows[1:])]
    listed = [f"- {escape_markdown(sentence)}" for sentence in sentences]
    return "\n".join([f"**{escape_markdown(heading)}**", "", *lines, "", *listed]) + "\n"


def _tex(comparison: Comparison) -> str:
    """A table* for the booktabs package."""

    def escape(text: str) -> str:
        escaped = text.translate(TEX_ESCAPES).replace(SIGNIFICANT, "$^{*}$")
        return re.sub(r"(?<!\w)-(?=\d)", "$-$", escaped)

    header = [escape(name) for name in _header(comparison)]
    body = [" & ".join(_cells(comparison, row, escape)) + r" \\" for row in comparison.rows]
    for block in blocks(comparison):
        body += [
            r"\midrule",
            rf"\multicolumn{{{len(header)}}}{{l}}{{\emph{{{escape(block.heading)}}}}} \\",
            *(" & ".join(_others_cells(comparison, row, escape)) + r" \\" for row in block.rows),
        ]
    return "\n".join(
        [
            r"\begin{table*}",
            r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
            rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
            r"\toprule",
            " & ".join(header) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{escape(title(comparison))}. {escape(' '.join(notes(comparison)))}}}",
            r"\end{table*}",
            "",
        ]
    )
