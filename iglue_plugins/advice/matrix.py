"""Scores of sweeps over auxiliary languages, read from the files that `iglue sweep` writes."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.text import printable, shown

FOLDER = Path(__file__).parent / "matrices"  # the project's own, a file for each task
FILES = ("scores.csv", "matrix.csv")  # what a sweep writes; the first has a score for each seed
MIN_SIZE = 3  # auxiliary languages, and target languages, of a matrix to learn from

Floats = NDArray[np.float64]
Scores = dict[tuple[str, str, str], float]  # by seed, auxiliary language and target language


@dataclass(frozen=True)
class TransferMatrix:
    """The scores of models that were trained on one auxiliary language each.

    Attributes:
        source: Where the scores come from, for people.
        languages: The languages of both axes, L.
        scores: (seeds, L, L) float64, auxiliary by target language, in points; NaN where there is no score, and where a
            model is scored in the language that it was trained on, since that is no transfer.
    """

    source: str
    languages: tuple[str, ...]
    scores: Floats

    @property
    def size(self) -> tuple[int, int]:
        """The number of auxiliary languages and of target languages that have scores."""
        found: NDArray[np.bool_] = np.asarray((~np.isnan(self.scores)).any(0))
        return int(found.any(1).sum()), int(found.any(0).sum())


def shipped_matrix(task: str) -> Path | None:
    """Find the matrix that ships for a task.

    Args:
        task: The task's name.

    Returns:
        The file; None if there is none.
    """
    path = FOLDER / f"{task.replace('/', '-')}.csv"
    return path if path.is_file() else None


def read_matrix(path: Path, languages: Collection[str]) -> TransferMatrix:
    """Read a sweep's scores.

    Rows that were trained on no auxiliary language, as the baseline, or on several together are left out.

    Args:
        path: scores.csv or matrix.csv of a sweep, or the folder with both.
        languages: The target languages of the task; other columns are no scores that count.

    Returns:
        The matrix; matrix.csv has means over seeds, which count as one seed.

    Raises:
        UserError: The file is missing or damaged, it is no sweep over auxiliary languages, or it has too few rows or
            target languages to learn from.
    """
    file = _find(path)
    rows = _read_rows(file)
    read = _read_scores if {"seed", "language", "score"} <= set(rows[0]) else _read_means
    scores = read(rows, file, tuple(languages))
    matrix = TransferMatrix(str(path), tuple(languages), _as_array(scores, tuple(languages)))
    if min(matrix.size) < MIN_SIZE:
        raise UserError(
            f"{file}: has scores of {matrix.size[0]} auxiliary languages in {matrix.size[1]} target languages of the "
            f"task, but learning from it takes {MIN_SIZE} of each; give a sweep of more, or leave --matrix out"
        )
    return matrix


def _find(path: Path) -> Path:
    if not path.is_dir():
        return path
    for name in FILES:
        if (path / name).is_file():
            return path / name
    raise UserError(
        f"{path}: has neither {' nor '.join(FILES)}; give the folder that iglue sweep wrote, or a file of it"
    )


def _read_rows(file: Path) -> list[dict[str, str]]:
    """Read the rows of a CSV file by its header."""
    try:
        content = file.read_text(encoding="utf-8-sig")
        reader = csv.DictReader(io.StringIO(content), strict=True, restval="")
        rows = list(reader)
    except OSError as error:
        raise UserError(
            f"{file}: cannot be read ({error.strerror}); give scores.csv or matrix.csv of a sweep"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: is no CSV file ({error}); give scores.csv or matrix.csv of a sweep") from error
    if not rows or any(None in row for row in rows) or "label" not in rows[0]:
        raise UserError(f"{file}: has no rows with a column 'label'; give scores.csv or matrix.csv of a sweep")
    return rows


def _read_scores(rows: list[dict[str, str]], file: Path, languages: tuple[str, ...]) -> Scores:
    """Read a line for each score of each seed."""
    trained: dict[str, set[str]] = {row["label"]: set() for row in rows}
    for row in rows:
        trained[row["label"]] |= set(row.get("auxiliary_languages", "").replace("+", " ").split())
        if row.get("role") == "auxiliary":
            trained[row["label"]].add(row["language"])
    auxiliary = _auxiliary_of(trained, file, languages)
    scores: Scores = {}
    for line, row in enumerate(rows, 2):
        if (language := auxiliary.get(row["label"])) and row["language"] in languages:
            key = row["seed"], language, row["language"]
            if key in scores:
                raise UserError(
                    f"{file}, line {line}: there are two scores of '{printable(row['label'])}' in '{row['language']}' "
                    f"with seed {shown(row['seed'])}; give the file as iglue sweep wrote it"
                )
            scores[key] = _number(row["score"], file, line)
    return scores


def _read_means(rows: list[dict[str, str]], file: Path, languages: tuple[str, ...]) -> Scores:
    """Read a line for each row of the matrix, with a column for each language."""
    if "trained_on" not in rows[0]:
        raise UserError(f"{file}: has no column 'trained_on'; give scores.csv or matrix.csv of a sweep")
    trained = {row["label"]: set(row["trained_on"].split()) for row in rows}
    auxiliary = _auxiliary_of(trained, file, languages)
    if repeated := [label for label, count in Counter(row["label"] for row in rows).items() if count > 1]:
        raise UserError(f"{file}: has two rows '{printable(repeated[0])}'; give the file as iglue sweep wrote it")
    return {
        ("", auxiliary[row["label"]], language): _number(row[language], file, line)
        for line, row in enumerate(rows, 2)
        if row["label"] in auxiliary
        for language in languages
        if row.get(language)
    }


def _auxiliary_of(trained: Mapping[str, set[str]], file: Path, languages: tuple[str, ...]) -> dict[str, str]:
    """Return the language of each row that was trained on one auxiliary language of the task."""
    found: dict[str, str] = {}
    for label, trained_on in trained.items():
        if len(trained_on) != 1 or not trained_on <= set(languages):
            continue
        (language,) = trained_on
        if language in found.values():
            raise UserError(
                f"{file}: several rows were trained on '{language}' alone; give a sweep over auxiliary_languages only"
            )
        found[label] = language
    return found


def _number(text: str, file: Path, line: int) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(
            f"{file}, line {line}: the score {shown(text)} is no number; give the file as iglue sweep wrote it"
        )
    return number


def _as_array(scores: Scores, languages: tuple[str, ...]) -> Floats:
    seeds = list(dict.fromkeys(seed for seed, _, _ in scores)) or [""]
    array = np.full((len(seeds), len(languages), len(languages)), np.nan)
    for (seed, auxiliary, target), score in scores.items():
        if auxiliary != target:
            array[seeds.index(seed), languages.index(auxiliary), languages.index(target)] = score
    return array
