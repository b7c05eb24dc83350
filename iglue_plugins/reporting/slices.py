"""Where the gains of rows come from: their differences to the first row in slices of the examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iglue_plugins.evaluation.clusters import ClusterGroup
from iglue_plugins.evaluation.significance import Difference
from iglue_plugins.evaluation.slices import (
    LEAST,
    Range,
    assign_slices,
    cut_numbers,
    cut_terciles,
    effective_clusters,
    slice_differences,
)
from iglue_plugins.reporting.clustering import DrawnClusters, Pictured, cluster_examples, pictured_examples
from iglue_plugins.reporting.comparison import language_roles
from iglue_plugins.reporting.quantities import OF_ALL_TASKS, QUANTITIES, Quantity, read_quantities
from iglue_plugins.reporting.results import RunResult, seeds_of
from iglue_plugins.reporting.scores import (
    Score,
    mean_over_languages,
    row_differences,
    score_over_seeds,
    stack_seeds,
)
from iglue_plugins.utils.errors import UserError, did_you_mean

LENGTHS = ("short", "medium", "long")
Results = Mapping[str, Sequence[RunResult]]  # by the label of the row


@dataclass(frozen=True)
class Slice:
    """The examples whose number is in a range.

    Attributes:
        name: The range, such as '2' or '3-4'; of lengths, 'short', 'medium' or 'long'.
        ranges: The smallest and the largest number, by language.
        examples: The number of examples, by language.
        images: The number of different images, over all languages; None where predictions do not tell images.
        effective: The number of clusters of equal weight that would tell as much as those of the slice.
        scores: Each row's mean over languages, by the label of the row.
        differences: The difference of each other row to the first, by its label.
    """

    name: str
    ranges: dict[str, Range]
    examples: dict[str, int]
    images: int | None
    effective: float
    scores: dict[str, Score]
    differences: dict[str, Difference]


@dataclass(frozen=True)
class SlicedQuantity:
    """The slices by one quantity, which share the examples among them.

    Attributes:
        name: One of `QUANTITIES`.
        units: What is counted in each language: 'objects', 'regions', 'words', 'characters' or 'unseen'. The slices
            are of the examples in these languages.
        without: Why other target languages are left out, by language.
        slices: The slices, from the smallest numbers to the largest.
        slopes: The difference of each other row in the last slice minus that in the first one, by its label.
    """

    name: str
    units: dict[str, str]
    without: dict[str, str]
    slices: tuple[Slice, ...]
    slopes: dict[str, Difference]


@dataclass(frozen=True)
class SliceTable:
    """The slices of a task.

    Attributes:
        task: The task's name.
        split: The split of all scores.
        metric: The main metric.
        sources: The source languages of all rows.
        targets: The target languages, over which scores are averaged.
        seeds: The seeds of every row.
        labels: The labels of the rows, that of the first one, the baseline, first.
        drawn: The clusters of examples that the intervals resample.
        scores: Each row's mean over the target languages and all examples, by its label.
        differences: The difference of each other row to the first over all examples, as in a comparison.
        quantities: The quantities with slices.
        left_out: Why there are no slices by a quantity that was asked for, by its name.
    """

    task: str
    split: str
    metric: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    seeds: tuple[int, ...]
    labels: tuple[str, ...]
    drawn: DrawnClusters
    scores: dict[str, Score]
    differences: dict[str, Difference]
    quantities: tuple[SlicedQuantity, ...]
    left_out: dict[str, str]


def check_quantities(names: Sequence[str]) -> list[str]:
    """Check the names of quantities of a command line.

    Args:
        names: The names.

    Returns:
        Each of them once, in their order.

    Raises:
        UserError: There is no such quantity.
    """
    if unknown := [name for name in names if name not in QUANTITIES]:
        raise UserError(f"--by: there are no slices by '{unknown[0]}'{did_you_mean(unknown[0], QUANTITIES)}")
    return list(dict.fromkeys(names))


def slice_table(results: Results, split: str, by: Sequence[str] = OF_ALL_TASKS, least: int = LEAST) -> SliceTable:
    """Cut the examples of rows into slices, and compare the rows in each.

    Lengths are cut at the terciles of each language, all other quantities at each number, where rare ones are joined
    (`cut_numbers`).

    Args:
        results: The results of each row's runs by label, as `read_rows` returns them, those of the baseline first.
        split: The split of all scores.
        by: Some of `QUANTITIES`.
        least: The number of examples that each language has at least in a slice by another quantity than length.

    Returns:
        The table.

    Raises:
        UserError: There is no such quantity, no target language, or a line of predictions is wrong.
    """
    by = check_quantities(by)
    first, *others = results.values()
    every = [result for row in results.values() for result in row]
    sources, _, targets = language_roles(every)
    pictured = pictured_examples(every, targets)
    groups, drawn = cluster_examples(pictured)
    differences = row_differences(first, [(row, targets) for row in others], groups)
    read = read_quantities(every, targets, by)
    sliced, left_out = [], {}
    for name, quantity in read.items():
        ranges, without = _cut(name, quantity, targets, least)
        reason = _why_left_out(name, read, ranges)
        if reason is None:
            sliced.append(_slice_by(name, quantity, ranges, without, results, pictured, groups))
        else:
            left_out[name] = reason
    return SliceTable(
        task=first[0].record["task"],
        split=split,
        metric=first[0].record["main_metric"],
        sources=sources,
        targets=targets,
        seeds=seeds_of(first),
        labels=tuple(results),
        drawn=drawn,
        scores={label: mean_over_languages(row, targets) for label, row in results.items()},
        differences=dict(zip(list(results)[1:], differences, strict=True)),
        quantities=tuple(sliced),
        left_out=left_out,
    )


def _cut(
    name: str, quantity: Quantity, targets: Sequence[str], least: int
) -> tuple[dict[str, list[Range]], dict[str, str]]:
    """Return the ranges of the slices by language, and why other languages have none."""
    numbers = quantity.numbers
    without = {language: f"their predictions do not tell {name}" for language in targets if language not in numbers}
    if name != "length":
        ranges = cut_numbers(numbers, least) if numbers else []
        return {language: ranges for language in numbers if len(ranges) > 1}, without
    terciles = {language: cut_terciles(of_language) for language, of_language in numbers.items()}
    without |= {
        language: "their texts have fewer than three lengths" for language, cut in terciles.items() if len(cut) == 1
    }
    return {language: cut for language, cut in terciles.items() if len(cut) > 1}, without


def _why_left_out(name: str, read: Mapping[str, Quantity], ranges: Mapping[str, list[Range]]) -> str | None:
    """Say why there are no slices by a quantity; None if there are some."""
    numbers = read[name].numbers
    if not numbers:
        cause = {
            "objects": "the task does not know how many objects an image shows",
            "regions": "the models read no regions",
            "unseen": "the task does not know which concepts training has not seen",
        }.get(name)
        return (
            f"the predictions do not tell {'texts' if name == 'length' else name}: "
            f"{f'{cause}, or ' if cause else ''}they were written by an earlier version; `iglue evaluate RUN --again` "
            "writes them anew"
        )
    if name == "regions" and "objects" in read and _is_same(numbers, read["objects"].numbers):
        return "the models read as many regions as there are objects, so that slices by regions are those by objects"
    if not ranges and name == "length":
        return "the texts of every language have fewer than three lengths"
    if not ranges:
        every = np.unique(np.concatenate(list(numbers.values()))).tolist()
        if len(every) == 1:
            what = "unseen concepts in every text" if name == "unseen" else f"{name} in every example"
            return f"there are {every[0]} {what}"
        return "there are too few examples, or too few numbers, to cut them"
    return None


def _is_same(numbers: Mapping[str, NDArray[np.int64]], others: Mapping[str, NDArray[np.int64]]) -> bool:
    return numbers.keys() == others.keys() and all(np.array_equal(numbers[name], others[name]) for name in numbers)


def _slice_by(
    name: str,
    quantity: Quantity,
    ranges: Mapping[str, list[Range]],
    without: dict[str, str],
    results: Results,
    pictured: Pictured,
    groups: Sequence[ClusterGroup],
) -> SlicedQuantity:
    assigned = {language: assign_slices(quantity.numbers[language], cut) for language, cut in ranges.items()}
    scores = {label: stack_seeds(row, list(ranges)) for label, row in results.items()}
    baseline, *others = scores.values()
    differences = dict(zip(list(results)[1:], slice_differences(baseline, others, groups, assigned), strict=True))
    slices = []
    for index, effective in enumerate(effective_clusters(groups, assigned)):
        members = {language: np.flatnonzero(of_language == index) for language, of_language in assigned.items()}
        of_slice = {language: cut[index] for language, cut in ranges.items()}
        slices.append(
            Slice(
                name=LENGTHS[index] if name == "length" else range_text(next(iter(of_slice.values()))),
                ranges=of_slice,
                examples={language: len(positions) for language, positions in members.items()},
                images=_count_images(pictured, members),
                effective=effective,
                scores={label: _score(of_row, members) for label, of_row in scores.items()},
                differences={label: found.gains[index] for label, found in differences.items()},
            )
        )
    slopes = {label: found.slope for label, found in differences.items()}
    units = {language: quantity.units[language] for language in ranges}
    return SlicedQuantity(name, units, without, tuple(slices), slopes)


def range_text(numbers: Range) -> str:
    """Format a range, such as '3' or '3-4'."""
    first, last = numbers
    return str(first) if first == last else f"{first}-{last}"


def _count_images(pictured: Pictured, members: Mapping[str, NDArray[np.intp]]) -> int | None:
    images: set[str] = set()
    for language, positions in members.items():
        if language not in pictured.image_ids:
            return None
        images.update(image for position in positions for image in pictured.image_ids[language][position])
    return len(images)


def _score(of_row: Mapping[str, NDArray[np.float64]], members: Mapping[str, NDArray[np.intp]]) -> Score:
    """Average a row's scores (seeds, examples) over the members of a slice, and then over languages."""
    per_language = [of_row[language][:, positions].mean(axis=1) for language, positions in members.items()]
    return score_over_seeds((100 * np.mean(per_language, axis=0)).tolist())
