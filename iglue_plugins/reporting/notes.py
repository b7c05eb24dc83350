"""The notes below a table, at most five sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from iglue_plugins import published
from iglue_plugins.evaluation.significance import Difference
from iglue_plugins.reporting.averages import TaskAverage
from iglue_plugins.reporting.comparison import Comparison, Row
from iglue_plugins.reporting.interval_wording import (
    caution_note,
    difference_note,
    targets_text,
)
from iglue_plugins.reporting.matrix import Matrix
from iglue_plugins.reporting.results import join_names

BEST_NOTE = "The best row is chosen and judged by the same scores, which flatters it."
MOST_KINDS = 4  # of rows by how they were trained that a note describes; of more it names what differs


def notes(comparison: Comparison, where_details_are: str = "which --notes lists") -> list[str]:
    """Explain the numbers of a comparison in at most five sentences.

    They are on averages and seeds, differences, what makes intervals too narrow, how the rows were trained, and rows
    from elsewhere. `details` has more.

    Args:
        comparison: The comparison.
        where_details_are: Where a reader finds in what rows differ, if it is too much for a note.

    Returns:
        The sentences below a table.
    """
    differences = {row.label: row.difference for row in comparison.rows if row.difference}
    auxiliary = f" and auxiliary {join_names(comparison.auxiliary)}" if comparison.auxiliary else ""
    source = join_names(comparison.sources)
    mean = f"the mean is over {targets_text(comparison.targets)}, without source {source}{auxiliary}"
    found = [
        f"Scores{_settings_text(comparison.rows)} are {seeds_text(comparison.seeds)}; {mean}.",
        difference_note(comparison.rows[0].label, differences, comparison.seeds, comparison.drawn, comparison.margin),
        caution_note(differences, comparison.drawn),
        _training_note(comparison.rows, where_details_are),
        _external_note(comparison),
    ]
    return [sentence for sentence in found if sentence]


def matrix_notes(matrix: Matrix) -> list[str]:
    """Explain the numbers of a matrix in at most four sentences; `matrix_details` has more.

    Args:
        matrix: The matrix.

    Returns:
        The sentences below a table.
    """
    source = join_names(matrix.sources)
    mean = f"the mean is over {targets_text(matrix.targets)}, without source {source}"
    if any(row.trained_on for row in matrix.all_rows):
        mean = f"a row's mean is without source {source} and without the languages in brackets, which it was "
        mean += "trained on"
    if matrix.common and matrix.means_differ:
        mean += f", and common is the mean over the {targets_text(matrix.common)} that no row was trained on"
    differences = {row.label: row.difference for row in matrix.rows if row.difference}
    first = matrix.baseline.label if matrix.baseline else ""
    found = [
        f"Scores are {seeds_text(matrix.seeds)}; {mean}.",
        difference_note(first, differences, matrix.seeds, matrix.drawn, matrix.margin),
        caution_note(differences, matrix.drawn),
        BEST_NOTE if len(matrix.rows) > 1 else "",
    ]
    return [sentence for sentence in found if sentence]


def average_notes(average: TaskAverage) -> list[str]:
    """Explain the numbers of an average over tasks in at most five sentences; `average_details` has more.

    Args:
        average: The average.

    Returns:
        The sentences below a table.
    """
    differences = {row.label: row.difference for row in average.rows if row.difference}
    found = [
        f"Scores are {seeds_text(average.seeds)}; a task's score is the mean of its main metric "
        f"({by_fact(average.metrics)}) over its target languages, and the average is over tasks, each counted once.",
        _average_difference_note(average, differences),
        caution_note(differences, average.drawn) if average.drawn else "",
        incomplete_note(average),
        external_average_note(average),
    ]
    return [sentence for sentence in found if sentence]


def _average_difference_note(average: TaskAverage, differences: Mapping[str, Difference]) -> str:
    if average.drawn is None:
        return ""
    return difference_note(average.rows[0].label, differences, average.seeds, average.drawn, average.margin)


def incomplete_note(average: TaskAverage) -> str:
    """Say in a sentence which rows have no average; empty if all have one."""
    lacking = [row.label for row in average.rows if row.average is None]
    subject = "it lacks" if len(lacking) == 1 else "they lack"
    return f"There is no average of {_listed(lacking)}, because {subject} a task." if lacking else ""


def external_average_note(average: TaskAverage) -> str:
    """Say in a sentence what rows lack that are no runs; empty if there are none."""
    rows = (*average.published, *average.lmms_eval)
    lacking = " (- where one is lacking)" if any(row.average is None for row in rows) else ""
    return f"Rows that are no runs have no seeds, differences or intervals{lacking}." if rows else ""


def seeds_text(seeds: Sequence[int]) -> str:
    """Say what scores are over: 'of one seed (0)', or 'means over 2 seeds (0, 1) with standard deviations'."""
    if len(seeds) == 1:
        return f"of one seed ({seeds[0]})"
    return f"means over {len(seeds)} seeds ({join_names(seeds)}) with standard deviations"


def _settings_text(rows: Sequence[Row]) -> str:
    """Name the evaluation settings of scores, where they are not the usual ones."""
    scored = {row.label: row.scored for row in rows}
    if not any("@" in name for name in scored.values()):
        return ""
    return f" ({rows[0].scored if all_equal(scored) else by_fact(scored)})"


def _training_note(rows: Sequence[Row], where_details_are: str) -> str:
    """Say how the rows were trained, equal ones together."""
    sources_differ = len({row.source_languages for row in rows}) > 1
    kinds: dict[str, list[str]] = {}
    for row in rows:
        kinds.setdefault(_training_text(row, sources_differ), []).append(row.label)
    if len(kinds) == 1:
        return f"Every row was trained {next(iter(kinds))}."
    if len(kinds) <= MOST_KINDS:
        parts = [
            f"{_listed(labels)} {'was' if len(labels) == 1 else 'were'} trained {training}"
            for training, labels in kinds.items()
        ]
        return f"{'; '.join(parts)}."
    facts: dict[str, set[Any]] = {
        "steps": {row.steps for row in rows},
        "labelled examples a step": {row.labels_per_step for row in rows},
        "source languages": {row.source_languages for row in rows},
        "languages trained on": {row.training_languages for row in rows},
        "the weights that they started from": {row.started_from for row in rows},
        "how they were adapted": {row.adapted for row in rows},
    }
    differing = [name for name, values in facts.items() if len(values) > 1]
    return f"Rows differ in {_listed(differing)}, {where_details_are}."


def _training_text(row: Row, names_sources: bool) -> str:
    sources = f" with source {join_names(row.source_languages)}" if names_sources else ""
    joined = " and auxiliary" if sources else " with auxiliary"
    languages = f"{joined} {join_names(row.training_languages)}" if row.training_languages else ""
    adapted = f", to a model for each language but the source {row.adapted}" if row.adapted else ""
    steps = f"{row.steps} steps of {row.labels_per_step} labelled examples"
    return f"from {row.started_from}{sources}{languages} for {steps}{adapted}"


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _external_note(comparison: Comparison) -> str:
    """Say what figures of others are, and what they lack."""
    subjects = [f"Published figures ({published.SOURCE_IN_FULL})"] if comparison.published else []
    subjects += ["rows of lmms-eval" if subjects else "Rows of lmms-eval"] if comparison.lmms_eval else []
    if not subjects:
        return ""
    means = [*(row.target_mean for row in comparison.published), *(row.target_mean for row in comparison.lmms_eval)]
    lacking = None in means
    return (
        f"{' and '.join(subjects)} have no seeds, differences or intervals; their mean is over the same target "
        f"languages{' (- where one is lacking)' if lacking else ''}{published_facts(comparison)}."
    )


def published_facts(comparison: Comparison) -> str:
    """Say what was done to published figures, so that they are of the same metric and examples as all rows."""
    if not comparison.published:
        return ""
    facts = ""
    if comparison.metric == "recall@1":
        facts += "; their recall@1 is the mean of the published image and text recall@1"
    every, labelled = published.ALL_AND_LABELLED.get(comparison.task, (0, 0))
    if labelled in comparison.examples.values():
        facts += (
            f"; they count the {every - labelled} of {every} examples without a label as wrong, and are given "
            f"over the other {labelled}, as all rows are"
        )
    return facts


def all_equal(facts: dict[str, str]) -> bool:
    """Return whether all labels have the same fact."""
    return len(set(facts.values())) == 1


def by_fact(facts: dict[str, str]) -> str:
    """Group labels by their fact, as in 'a, b: 64 labels; c: 32 labels'."""
    distinct = dict.fromkeys(facts.values())
    return "; ".join(f"{join_names(label for label in facts if facts[label] == fact)}: {fact}" for fact in distinct)
