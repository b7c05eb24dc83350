"""The scores of finished runs on a split, checked against each run's predictions and against each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.training_settings import differing_settings, training_settings
from iglue_plugins.utils.errors import UserError, did_you_mean
from iglue_plugins.utils.text import printable, shown

ROUNDING = 0.05  # points by which a record may differ from the mean of its predictions
RECORDED: dict[str, type] = {  # what tables read of a record
    "name": str,
    "seed": int,
    "task": str,
    "trainer": str,
    "source_language": str,
    "training_languages": list,
    "labels_per_step": int,
    "steps": int,
    "main_metric": str,
    "scores": dict,
}
SHARED_BY_ALL_ROWS = {"task": "task", "main_metric": "main metric", "source_language": "source language"}
SHARED_BY_A_ROW = {
    "trainer": "trainer",
    "training_languages": "training languages",
    "labels_per_step": "labels per step",
    "steps": "steps",
}


@dataclass(frozen=True)
class RunResult:
    """The results of one run on one split, by language in the order of the record.

    Attributes:
        folder: The run's folder.
        record: The run's record.
        metric: The main metric, from 0 to 100.
        example_ids: The ids of the examples, sorted.
        scores: (examples,) float64 in [0, 1], in the order of the ids.
    """

    folder: Path
    record: dict[str, Any]
    metric: dict[str, float]
    example_ids: dict[str, tuple[str, ...]]
    scores: dict[str, NDArray[np.float64]]


def read_result(folder: Path, split: str, languages: Sequence[str] | None = None) -> RunResult:
    """Read the record and the predictions of a finished run.

    Args:
        folder: The run's folder.
        split: The split to read.
        languages: The languages to read; None reads all that the run was evaluated on.

    Returns:
        The results of the run.

    Raises:
        UserError: The run is not finished, was not evaluated on the split or on one of the languages, or has
            predictions that do not average to the score in its record.
    """
    run, record = Run(folder), read_record(folder)
    if split not in record["scores"]:
        raise UserError(
            f"{folder}: the run was not evaluated on split '{split}'{did_you_mean(split, record['scores'])}"
        )
    _check_scores(run, record, split)
    metric: dict[str, float] = {}
    example_ids: dict[str, tuple[str, ...]] = {}
    scores: dict[str, NDArray[np.float64]] = {}
    for language in languages or record["scores"][split]:
        recorded = record["scores"][split].get(language)
        if recorded is None:
            raise UserError(f"{folder}: has no scores of {split}/{language}; evaluate the run on it")
        score_of = _scores_by_id(run, split, language)
        ids = tuple(sorted(score_of))
        metric[language] = float(recorded[record["main_metric"]])
        example_ids[language] = ids
        scores[language] = np.array([score_of[example_id] for example_id in ids])
        predicted = 100 * scores[language].mean() if ids else float("nan")
        if len(ids) != recorded["examples"] or not abs(predicted - metric[language]) <= ROUNDING:
            raise UserError(
                f"{folder}: record.json gives {record['main_metric']} {metric[language]:.2f} over "
                f"{recorded['examples']} examples for {split}/{language}, but the predictions there average "
                f"{predicted:.2f} over {len(ids)} different ids; evaluate the run again"
            )
    return RunResult(Path(folder), record, metric, example_ids, scores)


def read_record(folder: Path) -> dict[str, Any]:
    """Read the record of a finished run, and check that it has what tables show of it.

    Args:
        folder: The run's folder.

    Returns:
        The record.

    Raises:
        UserError: The run is not finished, or its record lacks something, as one written by hand may.
    """
    run = Run(folder)
    record = run.require_record()
    for key, kind in RECORDED.items():
        if not isinstance(record.get(key), kind):
            raise UserError(
                f"{run.record_path}: its {key} is {shown(record.get(key))}, but it has to be of type {kind.__name__}; "
                "correct it, or run again"
            )
    return record


def _check_scores(run: Run, record: dict[str, Any], split: str) -> None:
    """Check that the scores of a split are those of languages, each with the main metric and the number of examples."""
    by_language = record["scores"][split]
    if not isinstance(by_language, dict):
        raise UserError(f"{run.record_path}: its scores of {split} are no object; correct it, or run again")
    for language, recorded in by_language.items():
        for key, limit in ((record["main_metric"], 100), ("examples", math.inf)):
            value = recorded.get(key) if isinstance(recorded, dict) else None
            if not isinstance(value, int | float) or not 0 <= value <= limit:
                raise UserError(
                    f"{run.record_path}: its {printable(key)} of {split}/{printable(language)} is {shown(value)}, but "
                    f"it has to be a number from 0{' to 100' * (limit == 100)}; correct it, or run again"
                )


def _scores_by_id(run: Run, split: str, language: str) -> dict[str, float]:
    path, scores = run.predictions_path(split, language), dict[str, float]()
    for number, line in enumerate(run.read_predictions(split, language), start=1):
        id_, score = (line.get("id"), line.get("score")) if isinstance(line, dict) else (None, None)
        if not isinstance(id_, str) or not isinstance(score, int | float) or not 0 <= score <= 1:
            raise UserError(
                f"{path}: line {number} has to be an object with an id (text) and a score (a number from 0 to 1); "
                "correct it, or evaluate the run again"
            )
        if id_ in scores:
            raise UserError(
                f"{path}: line {number} has the id '{printable(id_)}' of an earlier line; delete one of the two"
            )
        scores[id_] = float(score)
    return scores


def read_rows(
    rows: Sequence[tuple[str, Sequence[Path]]], split: str, languages: Sequence[str] | None = None
) -> dict[str, list[RunResult]]:
    """Read the runs of the rows of a table, and check that they can be compared.

    Args:
        rows: A label and the folders of its runs, one for each seed, of every row.
        split: The split to read.
        languages: The languages to read; None reads all that the runs were evaluated on.

    Returns:
        The results of each row's runs, by label, in the order of their seeds.

    Raises:
        UserError: There is no row or no run, or a label is given twice; a run cannot be read (as in `read_result`);
            runs differ in task, metric, source language, languages or examples, runs of one row in more than the
            seed, or rows in their seeds.
    """
    _check_labels([label for label, _ in rows])
    results = {label: _read_row(label, folders, split, languages) for label, folders in rows}
    first_label, first_row = next(iter(results.items()))
    for label, row in results.items():
        for result in row:
            check_comparable(first_row[0], result, split)
        _check_seeds(first_label, first_row, label, row)
    return results


def seeds_of(row: Iterable[RunResult]) -> tuple[int, ...]:
    """Return the seeds of a row's runs.

    Args:
        row: The results of the runs.

    Returns:
        The seeds, in the order of the runs.
    """
    return tuple(result.record["seed"] for result in row)


def join_names(items: Iterable[object]) -> str:
    """Join items for a sentence.

    Args:
        items: Names or numbers.

    Returns:
        The items, separated by commas.
    """
    return ", ".join(map(str, items))


def _check_labels(labels: Sequence[str]) -> None:
    if not labels:
        raise UserError("a comparison needs at least one row of runs, but none was given")
    if repeated := [label for label in labels if labels.count(label) > 1]:
        raise UserError(f"row '{repeated[0]}' was given {len(repeated)} times; each row needs a label of its own")


def _read_row(label: str, folders: Sequence[Path], split: str, languages: Sequence[str] | None) -> list[RunResult]:
    read = (read_result(folder, split, languages) for folder in folders)
    results = sorted(read, key=lambda result: result.record["seed"])
    if not results:
        raise UserError(f"row '{label}' has no runs; give it one run folder per seed")
    check_one_row(label, results)
    return results


def _check_seeds(first_label: str, first_row: list[RunResult], label: str, row: list[RunResult]) -> None:
    wanted, found = seeds_of(first_row), seeds_of(row)
    if unshared := sorted(set(wanted) ^ set(found)):
        owner = next(result for result in (*first_row, *row) if result.record["seed"] == unshared[0])
        raise UserError(
            f"{owner.folder}: seed {unshared[0]} has no counterpart; row '{first_label}' has seeds "
            f"{join_names(wanted)} and row '{label}' {join_names(found)}, and rows are compared seed by seed"
        )


def check_comparable(first: RunResult, other: RunResult, split: str) -> None:
    """Check that two runs were evaluated in the same way, on the same examples.

    Args:
        first: The run to compare with.
        other: The run to check.
        split: The split of the results, for errors.

    Raises:
        UserError: The runs differ in task, metric, source language, languages or examples.
    """
    _check_same(first, other, SHARED_BY_ALL_ROWS, "only runs of one task and metric can be compared")
    if missing := sorted(first.metric.keys() ^ other.metric.keys()):
        lacking = other if missing[0] in first.metric else first
        raise UserError(
            f"{other.folder}: evaluated on {', '.join(other.metric)}, but {first.folder} on {', '.join(first.metric)}; "
            f"{lacking.folder} lacks {missing[0]}"
        )
    for language, ids in first.example_ids.items():
        if ids != other.example_ids[language]:
            unshared = sorted(set(ids) ^ set(other.example_ids[language]))
            raise UserError(
                f"{other.folder}: its {split}/{language} examples are not those of {first.folder}; "
                f"{len(unshared)} of them, such as '{unshared[0]}', are in one of the two only"
            )


def check_one_row(label: str, results: Sequence[RunResult]) -> None:
    """Check that the runs of a row differ in their seeds, and in nothing that the row states.

    Args:
        label: The row's label, for errors.
        results: The results of the row's runs.

    Raises:
        UserError: Two runs have the same seed, or differ in a setting that they were trained with.
    """
    first, expected = results[0], f"the runs of row '{label}' may differ in the seed only"
    for other in results[1:]:
        _check_same(first, other, SHARED_BY_A_ROW, expected)
        wanted, found = training_settings(first.record), training_settings(other.record)
        if differing := differing_settings([wanted, found]):
            key = differing[0]
            raise UserError(
                f"{other.folder}: its {key} is {found.get(key)!r}, but that of {first.folder} is {wanted.get(key)!r}; "
                f"{expected}"
            )
    seeds = [result.record["seed"] for result in results]
    if repeated := [result for result in results if seeds.count(result.record["seed"]) > 1]:
        raise UserError(
            f"{repeated[1].folder}: row '{label}' already has seed {repeated[1].record['seed']} from "
            f"{repeated[0].folder}; a row takes one run per seed"
        )


def _check_same(first: RunResult, other: RunResult, keys: dict[str, str], expected: str) -> None:
    for key, words in keys.items():
        if first.record[key] != other.record[key]:
            raise UserError(
                f"{other.folder}: its {words} is {other.record[key]!r}, but that of {first.folder} is "
                f"{first.record[key]!r}; {expected}"
            )
