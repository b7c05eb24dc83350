"""Sweeps over auxiliary languages among the rows of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from iglue_plugins.reporting.matrix import Matrix, SweepRow, matrix_of_results
from iglue_plugins.reporting.results import RunResult
from iglue_plugins.runs.training_settings import differing_settings, training_settings
from iglue_plugins.utils.languages import JOIN

LANGUAGES = "auxiliary_languages"

Results = Mapping[str, Sequence[RunResult]]


def find_sweep(results: Results, split: str, margin: float | None) -> Matrix | None:
    """Find rows that are one recipe with several auxiliary languages, and put them into a matrix.

    Args:
        results: The results of each row's runs, by label.
        split: The split of the scores.
        margin: The largest difference that does not matter, in points, or None.

    Returns:
        The matrix of the largest such group of rows, with the row that they all start from as its baseline, if there
        is one; None if no two rows differ in their auxiliary languages alone.

    Raises:
        UserError: A row was trained on every target language.
    """
    groups: list[dict[str, str]] = []  # labels by auxiliary languages
    for label, row in results.items():
        if languages := _auxiliary_languages(row[0]):
            group = next((group for group in groups if _is_same_recipe(results, group, row[0])), None)
            if group is None:
                groups.append(group := {})
            group.setdefault(languages, label)
    largest = max(groups, key=len, default={})
    if len(largest) < 2:
        return None
    rows = [_sweep_row(languages, results[label], {LANGUAGES: languages}) for languages, label in largest.items()]
    baseline = _baseline(results, largest)
    of_rows = {languages: results[label] for languages, label in largest.items()}
    if baseline is not None:
        of_rows[baseline.label] = results[baseline.label]
    first = next(iter(of_rows.values()))[0]
    return matrix_of_results(rows, baseline, of_rows, split, list(first.metric), margin)


def _auxiliary_languages(result: RunResult) -> str:
    """Return the auxiliary languages that a run itself was trained on, joined by "+"; "" if there are none."""
    languages = training_settings(result.record).get(LANGUAGES) or ()
    return JOIN.join(language for language in languages if language in result.record["training_languages"])


def _is_same_recipe(results: Results, group: Mapping[str, str], result: RunResult) -> bool:
    """Tell whether a run was scored like a group's, and differs from it in its auxiliary languages alone."""
    first = results[next(iter(group.values()))][0]
    differing = differing_settings([training_settings(first.record), training_settings(result.record)])
    return first.scored == result.scored and set(differing) <= {LANGUAGES}


def _sweep_row(label: str, row: Sequence[RunResult], values: Mapping[str, str]) -> SweepRow:
    return SweepRow(label, values, tuple(result.folder for result in row))


def _baseline(results: Results, swept: Mapping[str, str]) -> SweepRow | None:
    """Find the row that all rows of a sweep start from."""
    starts = {
        (result.record.get("start_from") or {}).get("fingerprint")
        for label in swept.values()
        for result in results[label]
    }
    for label, row in results.items():
        if label not in {*swept, *swept.values()} and starts == {result.record.get("fingerprint") for result in row}:
            return _sweep_row(label, row, {})
    return None
