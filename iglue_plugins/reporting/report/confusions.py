"""Confusion matrices of rows, or where a task has many labels, what is confused most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from iglue_plugins.reporting.report.row_answers import RowAnswers

MATRIX_LABELS = 8  # labels up to which there is a matrix
FREQUENT = 10  # confusions that are listed where there are more labels
SHADES = 10


@dataclass(frozen=True)
class ConfusionRow:
    """The answers to the examples of one label.

    Attributes:
        label: The right label.
        percentages: The share of each label among the answers, from 0 to 100, in the order of the matrix.
        answers: The number of answers, of all seeds.
    """

    label: str
    percentages: tuple[float, ...]
    answers: int

    @property
    def shades(self) -> list[int]:
        """The darkness of each cell, from 0 to 10."""
        return [round(SHADES * percentage / 100) for percentage in self.percentages]


@dataclass(frozen=True)
class Confusion:
    """What the runs of a row answer in some languages.

    Attributes:
        name: The row's label.
        labels: The labels of a matrix, in the order of its rows and columns; none where there are too many.
        rows: The rows of the matrix.
        frequent: Where there is no matrix, the commonest wrong answers as (label, prediction, number), the commonest
            first.
        wrong: The number of wrong answers, of all seeds.
        answers: The number of all answers, of all seeds.
    """

    name: str
    labels: tuple[str, ...]
    rows: tuple[ConfusionRow, ...]
    frequent: tuple[tuple[str, str, int], ...]
    wrong: int
    answers: int


def confusions(answers: Mapping[str, RowAnswers], languages: Sequence[str]) -> list[Confusion]:
    """Count what the rows of a task answer.

    Args:
        answers: The answers of each row, by label.
        languages: The languages whose answers are counted together.

    Returns:
        A confusion for each row; none in retrieval, and where files have no answers.
    """
    counts = {
        name: sum((of_row.confusions.get(language, Counter()) for language in languages), Counter[tuple[str, str]]())
        for name, of_row in answers.items()
    }
    labels = sorted({label for of_row in counts.values() for pair in of_row for label in pair})
    return [_confusion(name, of_row, labels) for name, of_row in counts.items() if of_row]


def _confusion(name: str, counts: Counter[tuple[str, str]], labels: Sequence[str]) -> Confusion:
    wrong = {pair: count for pair, count in counts.items() if pair[0] != pair[1]}
    has_matrix = len(labels) <= MATRIX_LABELS
    ordered = sorted(wrong.items(), key=lambda item: (-item[1], item[0]))
    return Confusion(
        name=name,
        labels=tuple(labels) if has_matrix else (),
        rows=tuple(_row(label, counts, labels) for label in labels) if has_matrix else (),
        frequent=() if has_matrix else tuple((*pair, count) for pair, count in ordered[:FREQUENT]),
        wrong=sum(wrong.values()),
        answers=sum(counts.values()),
    )


def _row(label: str, counts: Counter[tuple[str, str]], labels: Sequence[str]) -> ConfusionRow:
    answers = sum(counts[label, prediction] for prediction in labels)
    shares = tuple(100 * counts[label, prediction] / max(answers, 1) for prediction in labels)
    return ConfusionRow(label, shares, answers)
