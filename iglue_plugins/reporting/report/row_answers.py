"""The answers of a row's runs, of which the first seed's are kept and those of all seeds counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from iglue_plugins.reporting.report.answers import Answer, read_answers
from iglue_plugins.reporting.results import RunResult
from iglue_plugins.runs.folder import Run


@dataclass
class RowAnswers:
    """The answers of the runs of one row.

    Attributes:
        first: The answers of the run with the first seed, by language and by the example's id.
        right: The number of seeds that answer rightly, by language and by the example's id.
        confusions: The number of answers of all seeds by (label, prediction), by language; empty in retrieval.
    """

    first: dict[str, dict[str, Answer]] = field(default_factory=dict)
    right: dict[str, Counter[str]] = field(default_factory=dict)
    confusions: dict[str, Counter[tuple[str, str]]] = field(default_factory=dict)


def gather_answers(results: Mapping[str, Sequence[RunResult]]) -> dict[str, RowAnswers]:
    """Read the answers of all runs of a task, each file once.

    Args:
        results: The results of each row's runs, by label.

    Returns:
        The answers of each row, by label.

    Raises:
        UserError: A file of predictions is missing or damaged.
    """
    return {label: _gather(row) for label, row in results.items()}


def _gather(row: Sequence[RunResult]) -> RowAnswers:
    gathered = RowAnswers()
    for position, result in enumerate(row):
        for language in result.metric:
            right = gathered.right.setdefault(language, Counter())
            confusions = gathered.confusions.setdefault(language, Counter())
            first = gathered.first.setdefault(language, {})
            for answer in read_answers(Run(result.folder), result.scored, language):
                right[answer.id] += answer.is_right
                if not answer.is_ranking:
                    confusions[answer.label, answer.prediction] += 1
                if position == 0:
                    first[answer.id] = answer
    return gathered
