"""The files of a comparison: CSV, JSON, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from iglue_plugins.evaluation.significance import Difference
from iglue_plugins.published import SOURCE
from iglue_plugins.reporting.comparison import Comparison, LMMSEvalRow, PublishedRow, Row
from iglue_plugins.reporting.interval_wording import (
    corrected_text,
    difference_text,
    difference_values,
    interval_text,
    points_text,
)
from iglue_plugins.reporting.scores import Score
from iglue_plugins.reporting.wording import (
    blocks,
    describe,
    figure_text,
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
    """Write comparison.csv, .json, .md and .tex, each atomically.

    The CSV and JSON files have unrounded numbers: CSV a row for each trainer, JSON the value of each seed too. The
    Markdown and LaTeX files have the rounded table with its notes. External rows are marked in the last columns of the
    CSV, by keys of the JSON, and by headings in the other two.

    Args:
        comparison: The comparison.
        folder: The folder to write to.

    Returns:
        The paths of the files.

    Raises:
        UserError: A file cannot be written.
    """
    texts = {"csv": _csv, "json": _json, "md": _markdown, "tex": _tex}
    return [
        write_atomic(Path(folder) / f"comparison.{suffix}", text(comparison).encode()) for suffix, text in texts.items()
    ]


def _csv(comparison: Comparison) -> str:
    rows = [_csv_row(comparison, row) for row in comparison.rows]
    rows += [_external_csv_row(comparison, row) | {"published_by": SOURCE} for row in comparison.published]
    rows += [_external_csv_row(comparison, row) | {"lmms_eval": row.file} for row in comparison.lmms_eval]
    return csv_text(rows)


def csv_text(rows: Sequence[Mapping[str, object]]) -> str:
    """Format rows as CSV.

    Args:
        rows: Values by column. The first row has all columns; a column that another row lacks is empty.

    Returns:
        The text of the file, with a header.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _csv_row(comparison: Comparison, row: Row) -> dict[str, object]:
    """Return the columns of a row of runs; a deviation or difference that does not exist is None."""
    scores = {language: row.languages[language] for language in comparison.languages} | {"mean": row.target_mean}
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
        **difference_columns(row.difference, comparison.margin),
        "published_by": None,
        "lmms_eval": None,
    }


def difference_columns(difference: Difference | None, margin: float | None) -> dict[str, object]:
    """Return the columns of a difference, which are None where there is no difference or margin.

    Args:
        difference: The difference of a row.
        margin: The margin of its verdict, in points.
    """
    values = difference_values(difference, margin)
    names = {
        "difference": "difference",
        "low": "difference_low",
        "high": "difference_high",
        **{name: name for name in ("corrected_low", "corrected_high", "equivalence_low", "equivalence_high")},
        **{name: name for name in ("standard_error", "detectable", "verdict")},
    }
    return {column: values.get(name) for name, column in names.items()} | {"margin": margin if values else None}


def _external_csv_row(comparison: Comparison, row: PublishedRow | LMMSEvalRow) -> dict[str, object]:
    """Return the columns that an external row has."""
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
    for row, of_row in zip(comparison.rows, content["rows"], strict=True):
        of_row["difference"] = difference_values(row.difference, comparison.margin) or None
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _header(comparison: Comparison) -> list[str]:
    named = [
        language if role(comparison, language) == "target" else f"{language} ({role(comparison, language)})"
        for language in comparison.languages
    ]
    return ["", *named, "mean", *difference_headers(len(comparison.rows) - 1, comparison.margin)]


def difference_headers(differences: int, margin: float | None) -> list[str]:
    """Return the headers of the columns of a difference in a rounded table.

    Args:
        differences: The number of differences in the table; several have a column of corrected intervals.
        margin: The margin of the verdicts, in points; None has no column of verdicts.
    """
    verdicts = [] if margin is None else [f"margin {points_text(margin)}"]
    return ["difference", *(["corrected"] if differences > 1 else []), *verdicts]


def difference_cells(difference: Difference | None, differences: int, margin: float | None) -> list[str]:
    """Return the cells of a difference, as many as it has headers.

    Args:
        difference: The difference; None has empty cells.
        differences: The number of differences in the table.
        margin: The margin of the verdicts, in points.
    """
    if difference is None:
        return [""] * len(difference_headers(differences, margin))
    corrected = [corrected_text(difference)] if differences > 1 else []
    verdicts = [] if margin is None else [difference.verdict(margin)]
    return [f"{difference_text(difference)} {interval_text(difference)}", *corrected, *verdicts]


def _cells(comparison: Comparison, row: Row, escape: Callable[[str], str]) -> list[str]:
    scores = [*(row.languages[language] for language in comparison.languages), row.target_mean]
    means = [f"{mean_text(score)} {std_text(score)}".strip() for score in scores]
    differences = difference_cells(row.difference, len(comparison.rows) - 1, comparison.margin)
    return [escape(text) for text in (row.label, *means, *differences)]


def _external_cells(comparison: Comparison, row: PublishedRow | LMMSEvalRow, escape: Callable[[str], str]) -> list[str]:
    figures = [*(row.languages.get(language) for language in comparison.languages), row.target_mean]
    differences = difference_cells(None, len(comparison.rows) - 1, comparison.margin)
    return [escape(row.label), *map(figure_text, figures), *differences]


def _markdown(comparison: Comparison) -> str:
    escape = escape_markdown
    header = [escape(name) for name in _header(comparison)]
    body = [_cells(comparison, row, escape) for row in comparison.rows]
    for block in blocks(comparison):
        body += [
            [f"*{escape(block.heading)}*", *[""] * (len(header) - 1)],
            *(_external_cells(comparison, row, escape) for row in block.rows),
        ]
    return markdown_text(title(comparison), [header, *body], notes(comparison))


def escape_markdown(text: str) -> str:
    """Escape the characters that have a meaning in Markdown."""
    return text.translate(MARKDOWN_ESCAPES)


def markdown_text(heading: str, rows: Sequence[Sequence[str]], sentences: Sequence[str]) -> str:
    """Format a table with a heading and notes as Markdown.

    Args:
        heading: The heading above the table.
        rows: Escaped cells, the header first.
        sentences: The notes below the table.

    Returns:
        The text of the file.
    """
    rule = ["---", *["---:"] * (len(rows[0]) - 1)]
    lines = [f"| {' | '.join(cells)} |" for cells in (rows[0], rule, *rows[1:])]
    items = [f"- {escape_markdown(sentence)}" for sentence in sentences]
    return "\n".join([f"**{escape_markdown(heading)}**", "", *lines, "", *items]) + "\n"


def _tex(comparison: Comparison) -> str:
    """Format a comparison as a table* of LaTeX for the booktabs package."""

    def escape(text: str) -> str:
        escaped = re.sub(r"\*+", r"$^{\g<0>}$", text.translate(TEX_ESCAPES))
        return re.sub(r"(?<!\w)-(?=\d)", "$-$", escaped)

    header = [escape(name) for name in _header(comparison)]
    body = [" & ".join(_cells(comparison, row, escape)) + r" \\" for row in comparison.rows]
    for block in blocks(comparison):
        body += [
            r"\midrule",
            rf"\multicolumn{{{len(header)}}}{{l}}{{\emph{{{escape(block.heading)}}}}} \\",
            *(" & ".join(_external_cells(comparison, row, escape)) + r" \\" for row in block.rows),
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
