"""What a finished run says about one split, checked against itself and against the runs beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iglue_plugins.errors import UserError, nearest
from iglue_plugins.runs import Run

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


def read_result(folder: Path, split: str) -> RunResult:
    """Read the record and the predictions of the finished run in `folder`.

    Raises:
        UserError: the run is not finished, or was not evaluated on `split`, or its predictions are not those that its
            record sums up.
    """
    run = Run(folder)
    record = run.record()
    if record is None:
        raise UserError(f"{folder}: found no record.json, expected the folder of a finished run")
    if split not in record["scores"]:
        raise UserError(f"{folder}: the run was not evaluated on split '{split}'{nearest(split, record['scores'])}")
    metric, example_ids, scores = {}, {}, {}
    for language, recorded in record["scores"][split].items():
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
