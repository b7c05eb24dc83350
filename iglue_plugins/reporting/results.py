"""What a finished run says about one split, checked against itself and against the runs beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iglue_plugins.runs.folder import Run
from iglue_plugins.utils.errors import UserError, did_you_mean

ROUNDING = 0.05  # points by which a record may differ from the mean of its predictions
SHARED_BY_ALL_ROWS = {"task": "task", "main_metric": "main metric", "source_language": "source language"}
SHARED_BY_A_ROW = {
    "trainer": "trainer",
    "training_languages": "training languages",
    "labels_per_step": "labels per step",
    "steps": "steps",
}


@dataclass(frozen=True)
class RunResult:
    """One run on one split; languages are in the record's order.

    `metric` holds the main metric per language (0-100), `example_ids` each language's sorted ids, and `scores`
    (examples,) float64 in [0, 1] in the order of the ids.
    """

    folder: Path
    record: dict[str, Any]
    metric: dict[str, float]
    example_ids: dict[str, tuple[str, ...]]
    scores: dict[str, NDArray[np.float64]]


def read_result(folder: Path, split: str, languages: Sequence[str] | None = None) -> RunResult:
    """Read the record and the predictions of the finished run in `folder`, in all or in some of its languages.

    Raises:
        UserError: the run is not finished, or was not evaluated on `split` or on one of the languages, or its
            predictions are not those that its record sums up.
    """
    run = Run(folder)
    record = run.record()
    if record is None:
        raise UserError(f"{folder}: found no record.json, expected the folder of a finished run")
    if split not in record["scores"]:
        raise UserError(
            f"{folder}: the run was not evaluated on split '{split}'{did_you_mean(split, record['scores'])}"
        )
    metric, example_ids, scores = {}, {}, {}
    for language in languages or record["scores"][split]:
        recorded = record["scores"][split].get(language)
        if recorded is None:
            raise UserError(f"{folder}: found no scores of {split}/{language}; evaluate the run on it")
        score_of = {line["id"]: float(line["score"]) for line in run.read_predictions(split, language)}
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


def read_rows(
    rows: Sequence[tuple[str, Sequence[Path]]], split: str, languages: Sequence[str] | None = None
) -> dict[str, list[RunResult]]:
    """The runs of each row, in the order of their seeds; a row is a label and its run folders, one per seed.

    languages: what to read of each run; None for all that it is evaluated on.

    Raises:
        UserError: no row or run, a label given twice, a run that is not evaluated on `split`, or runs that differ in
            task, metric, source language, languages or examples; within a row, in more than the seed; between rows,
            in the seeds.
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
    return tuple(result.record["seed"] for result in row)


def join_names(items: Iterable[object]) -> str:
    return ", ".join(map(str, items))


def _check_labels(labels: Sequence[str]) -> None:
    if not labels:
        raise UserError("a comparison needs at least one row of runs, and none was given")
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
    """Raise a UserError that names `other` unless it was evaluated as `first` was, on the same examples."""
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
    """Raise a UserError unless the runs of a row differ in their seeds, and in nothing that the row states."""
    first = results[0]
    for other in results[1:]:
        _check_same(first, other, SHARED_BY_A_ROW, f"the runs of row '{label}' may differ in the seed only")
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
