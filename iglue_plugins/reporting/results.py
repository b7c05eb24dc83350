"""The scores of finished runs on a split, checked against each run's predictions and against each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iglue_plugins.recipes.sections import scored_split
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.record_checks import check_scores, read_record
from iglue_plugins.runs.scored_examples import ImagesOfExamples, read_scored_examples
from iglue_plugins.runs.training_settings import differing_settings, training_settings
from iglue_plugins.utils.errors import UserError, did_you_mean

ROUNDING = 0.05  # points by which a record may differ from the mean of its predictions
SHARED_BY_ALL_ROWS = {"task": "task", "main_metric": "main metric"}
SHARED_BY_A_ROW = {
    "trainer": "trainer",
    "source_language": "source language",
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
        image_ids: The ids of each example's images, in the order of the ids; without languages whose predictions were
            written before images were kept.
        scored: The name under which the run keeps these scores: the split, with evaluation settings other than the
            usual ones.
    """

    folder: Path
    record: dict[str, Any]
    metric: dict[str, float]
    example_ids: dict[str, tuple[str, ...]]
    scores: dict[str, NDArray[np.float64]]
    image_ids: dict[str, ImagesOfExamples]
    scored: str


def read_result(
    folder: Path,
    split: str,
    languages: Sequence[str] | None = None,
    seen: dict[Any, Any] | None = None,
    scored: str | None = None,
) -> RunResult:
    """Read the record and the predictions of a finished run.

    Args:
        folder: The run's folder.
        split: The split to read.
        languages: The languages to read; None reads all that the run was evaluated on.
        seen: The ids that were read of other runs, to which those of this run are added; equal ones are kept once.
        scored: The name under which the run keeps the scores of some evaluation settings, such as "test@bfloat16"; by
            default that of the settings in its recipe.

    Returns:
        The results of the run.

    Raises:
        UserError: The run is not finished, is a smoke test, was not evaluated on the split or on one of the languages,
            or has predictions that do not average to the score in its record.
    """
    run, record, seen = Run(folder), read_record(folder), {} if seen is None else seen
    if (limit := record.get("limit")) is not None:
        raise UserError(
            f"{folder}: is a smoke test, limited to {limit} steps and examples, which says nothing of a trainer; name "
            "a run without a limit"
        )
    split = scored or _scored_by_recipe(record, split)
    if split not in record["scores"]:
        raise UserError(
            f"{folder}: the run was not evaluated on split '{split}'{did_you_mean(split, record['scores'])}"
        )
    check_scores(run, record, split)
    metric: dict[str, float] = {}
    example_ids: dict[str, tuple[str, ...]] = {}
    scores: dict[str, NDArray[np.float64]] = {}
    image_ids: dict[str, ImagesOfExamples] = {}
    for language in languages or record["scores"][split]:
        recorded = record["scores"][split].get(language)
        if recorded is None:
            raise UserError(f"{folder}: has no scores of {split}/{language}; evaluate the run on it")
        examples = read_scored_examples(run, split, language)
        ids = seen.setdefault(examples.ids, examples.ids)
        metric[language] = float(recorded[record["main_metric"]])
        example_ids[language], scores[language] = ids, examples.scores
        if examples.image_ids is not None:
            image_ids[language] = seen.setdefault(examples.image_ids, examples.image_ids)
        predicted = 100 * scores[language].mean() if ids else float("nan")
        if len(ids) != recorded["examples"] or not abs(predicted - metric[language]) <= ROUNDING:
            raise UserError(
                f"{folder}: record.json gives {record['main_metric']} {metric[language]:.2f} over "
                f"{recorded['examples']} examples for {split}/{language}, but the predictions there average "
                f"{predicted:.2f} over {len(ids)} different ids; evaluate the run again"
            )
    return RunResult(Path(folder), record, metric, example_ids, scores, image_ids, split)


def _scored_by_recipe(record: Mapping[str, Any], split: str) -> str:
    evaluation = record.get("recipe", {}).get("evaluation", {})
    named = scored_split(split, evaluation.get("precision", "float32"), bool(evaluation.get("compile")))
    return named if named in record["scores"] else split  # which versions before kept all scores under


def read_rows(
    rows: Sequence[tuple[str, Sequence[Path]]],
    split: str,
    languages: Sequence[str] | None = None,
    scored: Mapping[str, str] | None = None,
) -> dict[str, list[RunResult]]:
    """Read the runs of the rows of a table, and check that they can be compared.

    Args:
        rows: A label and the folders of its runs, one for each seed, of every row.
        split: The split to read.
        languages: The languages to read; None reads all that the runs were evaluated on.
        scored: The name under which the runs of a row keep its scores, by label, as for `read_result`.

    Returns:
        The results of each row's runs, by label, in the order of their seeds.

    Raises:
        UserError: There is no row or no run, or a label is given twice; a run cannot be read (as in `read_result`);
            runs differ in task, metric, languages or examples, runs of one row in more than the
            seed, or rows in their seeds.
    """
    _check_labels([label for label, _ in rows])
    seen: dict[Any, Any] = {}
    results: dict[str, list[RunResult]] = {}
    for label, folders in rows:
        read = (read_result(folder, split, languages, seen, (scored or {}).get(label)) for folder in folders)
        results[label] = sorted(read, key=lambda result: result.record["seed"])
        if not results[label]:
            raise UserError(f"row '{label}' has no runs; give it one run folder per seed")
        check_one_row(label, results[label])
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
        UserError: The runs differ in task, metric, languages, examples, or the images of examples.
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
        images, others = first.image_ids.get(language), other.image_ids.get(language)
        if images and others and images != others:
            changed = next(i for i in range(len(ids)) if images[i] != others[i])
            raise UserError(
                f"{other.folder}: its {split}/{language} example '{ids[changed]}' shows {join_names(others[changed])}, "
                f"but that of {first.folder} {join_names(images[changed])}; compare runs that were evaluated on the "
                "same data"
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
