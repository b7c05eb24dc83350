"""The scored examples in a run's prediction files, checked line by line."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iglue_plugins.runs.folder import Run
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.text import printable, shown

ImagesOfExamples = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ScoredExamples:
    """The examples of a split in a language, in the order of their ids.

    Attributes:
        ids: (examples,) ids, sorted.
        scores: (examples,) float64 in [0, 1].
        image_ids: (examples,) the ids of each example's images; None in a file that was written before they were kept.
    """

    ids: tuple[str, ...]
    scores: NDArray[np.float64]
    image_ids: ImagesOfExamples | None


def read_scored_examples(run: Run, split: str, language: str) -> ScoredExamples:
    """Read what tables need of a run's predictions.

    Args:
        run: The run.
        split: The name of the split.
        language: The code of the language.

    Returns:
        The examples.

    Raises:
        UserError: The file is missing or damaged, a line lacks its id or score, an id occurs twice, or some lines have
            image ids and others none.
    """
    path = run.predictions_path(split, language)
    examples: dict[str, tuple[float, tuple[str, ...] | None]] = {}
    for number, line in enumerate(run.read_predictions(split, language), start=1):
        id_, score = (line.get("id"), line.get("score")) if isinstance(line, dict) else (None, None)
        if not isinstance(id_, str) or not isinstance(score, int | float) or not 0 <= score <= 1:
            raise UserError(
                f"{path}: line {number} has to be an object with an id (text) and a score (a number from 0 to 1); "
                "correct it, or evaluate the run again"
            )
        if id_ in examples:
            raise UserError(
                f"{path}: line {number} has the id '{printable(id_)}' of an earlier line; delete one of the two"
            )
        examples[id_] = float(score), _image_ids(path, number, line)
    ordered = dict(sorted(examples.items()))
    images = [of_example for _, of_example in ordered.values() if of_example is not None]
    if images and len(images) < len(ordered):
        raise UserError(
            f"{path}: {len(ordered) - len(images)} of {len(ordered)} lines have no image_ids; add them, or evaluate "
            "the run again"
        )
    scores = np.array([score for score, _ in ordered.values()])
    return ScoredExamples(tuple(ordered), scores, tuple(images) or None)


def _image_ids(path: Path, number: int, line: dict[str, Any]) -> tuple[str, ...] | None:
    images = line.get("image_ids")
    if images is None:
        return None
    if not isinstance(images, list) or not images or not all(isinstance(image, str) for image in images):
        raise UserError(
            f"{path}: line {number} has image_ids {shown(images)}, but they have to be a list of one or more texts; "
            "correct it, or evaluate the run again"
        )
    return tuple(map(sys.intern, images))
