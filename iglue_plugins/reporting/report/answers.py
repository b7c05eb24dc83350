"""What a run's prediction files say of each example, for a report that shows it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from iglue_plugins.runs.folder import Run
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.text import shown

Likelihoods = tuple[tuple[str, float | None], ...]


@dataclass(frozen=True)
class Answer:
    """The answer to one example.

    Attributes:
        id: The example's id.
        image_ids: The ids of its images; none in a file that was written before they were kept.
        text: Its text; None in a file that was written before it was kept.
        label: The right label, or in retrieval the caption's image.
        predictions: The label given, or in retrieval the images in their order, the best first.
        is_ranking: Whether the predictions are images.
        likelihoods: The probabilities of labels, or the similarities of the images in their order; None for one that
            is not finite. None instead of all in a file that was written before they were kept.
        label_similarity: In retrieval the similarity of the caption's image, where it is known.
    """

    id: str
    image_ids: tuple[str, ...]
    text: str | None
    label: str
    predictions: tuple[str, ...]
    is_ranking: bool
    likelihoods: Likelihoods | None
    label_similarity: float | None

    @property
    def prediction(self) -> str:
        """The label given, or the best image; "" for an empty ranking."""
        return self.predictions[0] if self.predictions else ""

    @property
    def is_right(self) -> bool:
        """Whether the label given is the right one, or the best image that of the caption."""
        return self.prediction == self.label


def read_answers(run: Run, split: str, language: str) -> Iterator[Answer]:
    """Read the answers of a run.

    Args:
        run: The run.
        split: The name of the split.
        language: The code of the language.

    Yields:
        An answer for each line that has an id, a prediction and a label; scores alone are no answers.

    Raises:
        UserError: The file is missing or damaged, or what a line has is of another kind.
    """
    path = run.predictions_path(split, language)
    for number, line in enumerate(run.read_predictions(split, language), start=1):
        if any(line.get(key) is None for key in ("id", "prediction", "label")):
            continue
        try:
            yield _answer(line)
        except _UnexpectedError as unexpected:
            raise UserError(
                f"{path}: line {number} has {unexpected}; correct it, or evaluate the run again"
            ) from unexpected


class _UnexpectedError(Exception):
    """Says which value of a line is not what it has to be."""


def _answer(line: dict[str, Any]) -> Answer:
    prediction, text = line["prediction"], line.get("text")
    is_ranking = isinstance(prediction, list)
    if text is not None and not isinstance(text, str):
        raise _UnexpectedError(f"text {shown(text)}, which has to be a text")
    predictions = tuple(_word("prediction", item) for item in (prediction if is_ranking else [prediction]))
    return Answer(
        id=_word("id", line["id"]),
        image_ids=tuple(_word("image_ids", image) for image in _listed("image_ids", line.get("image_ids") or [])),
        text=text,
        label=_word("label", line["label"]),
        predictions=predictions,
        is_ranking=is_ranking,
        likelihoods=_similarities(line, predictions) if is_ranking else _probabilities(line),
        label_similarity=_number("label_similarity", line.get("label_similarity")),
    )


def _word(key: str, value: Any) -> str:
    """Return a label or an id; whoever writes a file by hand may number them."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _UnexpectedError(f"{key} {shown(value)}, which has to be a text or a number")
    return str(value)


def _listed(key: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _UnexpectedError(f"{key} {shown(value)}, which has to be a list")
    return value


def _number(key: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _UnexpectedError(f"{key} {shown(value)}, which has to be a number or null")
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # a whole number of hundreds of digits
        return None


def _probabilities(line: dict[str, Any]) -> Likelihoods | None:
    found = line.get("probabilities")
    if found is None:
        return None
    if not isinstance(found, dict):
        raise _UnexpectedError(f"probabilities {shown(found)}, which have to be an object")
    return tuple((label, _number("probabilities", value)) for label, value in found.items())


def _similarities(line: dict[str, Any], images: tuple[str, ...]) -> Likelihoods | None:
    found = line.get("similarities")
    if found is None:
        return None
    numbers = [_number("similarities", value) for value in _listed("similarities", found)]
    if len(numbers) != len(images):
        raise _UnexpectedError(f"{len(numbers)} similarities of {len(images)} images, which have to be as many")
    return tuple(zip(images, numbers, strict=True))
