"""The files of a matrix: CSV and Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from iglue_plugins.reporting.csv_rows import csv_text, difference_columns
from iglue_plugins.reporting.details import matrix_details
from iglue_plugins.reporting.markdown import (
    difference_cells,
    difference_headers,
    markdown_text,
)
from iglue_plugins.reporting.matrix import Matrix, MatrixRow
from iglue_plugins.reporting.notes import matrix_notes
from iglue_plugins.reporting.wording import describe_matrix, mean_text, score_text, title
from iglue_plugins.utils.files import write_atomic
from iglue_plugins.utils.text import escape_markdown


def write(matrix: Matrix, folder: Path, full: bool = False) -> list[Path]:
    """Write matrix.csv, scores.csv and matrix.md, each atomically.

    The CSV files have numbers of 12 significant digits: matrix.csv has a line for each row of the matrix, and
    scores.csv one for each score of each seed.

    Args:
        matrix: The matrix.
        folder: The folder to write to.
        full: Whether the Markdown has all that is known below the table, instead of the notes.

    Returns:
        The paths of the files.

    Raises:
        UserError: A file cannot be written.
    """
    texts = {
        "matrix.csv": csv_text([_row(matrix, row) for row in matrix.all_rows]),
        "scores.csv": csv_text([line for row in matrix.all_rows for line in _scores(matrix, row)]),
        "matrix.md": _markdown(matrix, matrix_details(matrix) if full else matrix_notes(matrix)),
    }
    return [write_atomic(Path(folder) / name, text.encode()) for name, text in texts.items()]


def _settings(matrix: Matrix, row: MatrixRow) -> dict[str, object]:
    return {"label": row.label, **{key: row.values.get(key) for key in matrix.keys}}


def _row(matrix: Matrix, row: MatrixRow) -> dict[str, object]:
    """Return the columns of a row of the matrix; a mean or difference that does not exist is None."""
    return {
        **_settings(matrix, row),
        "trained_on": " ".join(row.trained_on),
        **{language: row.languages[language].mean for language in matrix.languages},
        "mean_unseen": row.unseen_mean.mean,
        "mean_unseen_std": row.unseen_mean.std,
        "mean_common": row.common_mean and row.common_mean.mean,
        "mean_common_std": row.common_mean and row.common_mean.std,
        **difference_columns(row.difference, matrix.margin),
    }


def _scores(matrix: Matrix, row: MatrixRow) -> Iterator[dict[str, object]]:
    """Yield the columns of each score of each seed, with the language's role: source, auxiliary or target."""
    for index, (seed, run) in enumerate(zip(matrix.seeds, row.runs, strict=True)):
        for language in matrix.languages:
            role = "source" if language in matrix.sources else "auxiliary" if language in row.trained_on else "target"
            yield {
                **_settings(matrix, row),
                "task": matrix.task,
                "split": matrix.split,
                "metric": matrix.metric,
                "seed": seed,
                "language": language,
                "role": role,
                "score": row.languages[language].per_seed[index],
                "run": run,
            }


def _markdown(matrix: Matrix, sentences: Sequence[str]) -> str:
    rows = [[escape_markdown(cell) for cell in row] for row in matrix_cells(matrix)]
    return markdown_text(title(matrix), rows, [*describe_matrix(matrix), *sentences])


def matrix_cells(matrix: Matrix) -> list[list[str]]:
    """Return the texts of the cells of a matrix's rounded table.

    Args:
        matrix: The matrix.

    Returns:
        The header, and a row for the baseline, if there is one, and for each setting. Scores in languages that a row
        was trained on are in brackets.
    """
    common = bool(matrix.common) and matrix.means_differ
    named = [f"{language} (source)" if language in matrix.sources else language for language in matrix.languages]
    headers = difference_headers(len(matrix.rows), matrix.margin) if matrix.baseline else []
    rows = [["", *named, "mean", *(["common"] if common else []), *headers]]
    for row in matrix.all_rows:
        means = {language: mean_text(row.languages[language]) for language in matrix.languages}
        cells = [f"({mean})" if language in row.trained_on else mean for language, mean in means.items()]
        row_means = [row.unseen_mean, *([row.common_mean] if common and row.common_mean is not None else [])]
        cells += [score_text(score) for score in row_means]
        if matrix.baseline is not None:
            cells += difference_cells(row.difference, len(matrix.rows), matrix.margin)
        rows.append([row.label, *cells])
    return rows
