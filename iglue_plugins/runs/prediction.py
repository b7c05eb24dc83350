"""What a model says of images and texts that a user gives."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from iglue_plugins.utils.text import printable

Measure = Literal["cosine", "logit"]
PROBABILITIES = "the probability of a label by itself, as the model was trained; they need not add up to 1"
MEASURES: dict[Measure, str] = {
    "cosine": "the cosine of text and image, from -1 to 1, by which the run's evaluation ranks, and no probability",
    "logit": "the matching logit of text and image, by which the run's evaluation ranks, and no probability",
}


@dataclass(frozen=True)
class Prediction:
    """The label that a model gives a text and its image or images.

    Attributes:
        label: The label, as it would stand in the run's predictions.
        probabilities: The probability of each label, the highest first. They are those that the task's loss trains;
            IGLUE's tasks train that of each label by itself, so that they need not add up to 1.
        text: The text.
        images: The images, as the user named them.
        language: The code of the text's language, if the user said it.
        run: The folder of the run.
        notes: Sentences on what a user may want to know of the answer.
    """

    label: str
    probabilities: Mapping[str, float]
    text: str
    images: tuple[str, ...]
    language: str | None
    run: str
    notes: tuple[str, ...] = ()

    def top(self, count: int) -> Prediction:
        """Return the prediction with the most probable labels alone.

        Args:
            count: The number of labels that are kept.
        """
        return replace(self, probabilities=_first(self.probabilities, count))

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction as JSON values, by the names of its attributes."""
        return asdict(self)

    def __str__(self) -> str:
        return _table(self.label, self.probabilities, PROBABILITIES)


@dataclass(frozen=True)
class Ranking:
    """How well texts match an image, or images a text; the answer of a model for retrieval.

    Attributes:
        label: The text or image that matches best.
        scores: The score of each text, or of each image where there are several; the highest first.
        measure: What the scores are: cosines of a dual encoder's embeddings, or the matching logits of another model.
        texts: The texts.
        images: The images, as the user named them.
        language: The code of the texts' language, if the user said it.
        run: The folder of the run.
        notes: Sentences on what a user may want to know of the answer.
    """

    label: str
    scores: Mapping[str, float]
    measure: Measure
    texts: tuple[str, ...]
    images: tuple[str, ...]
    language: str | None
    run: str
    notes: tuple[str, ...] = ()

    def top(self, count: int) -> Ranking:
        """Return the ranking with the best texts or images alone.

        Args:
            count: The number of texts or images that are kept.
        """
        return replace(self, scores=_first(self.scores, count))

    def to_dict(self) -> dict[str, Any]:
        """Return the ranking as JSON values, by the names of its attributes."""
        return asdict(self)

    def __str__(self) -> str:
        return _table(self.label, self.scores, MEASURES[self.measure])


def _first(numbers: Mapping[str, float], count: int) -> dict[str, float]:
    return dict(itertools.islice(numbers.items(), count))


def _table(label: str, numbers: Mapping[str, float], meaning: str) -> str:
    lines = [f"{number:9.4f}  {printable(name)}" for name, number in numbers.items()]
    return "\n".join([printable(label), *lines, f"Each number is {meaning}."])
