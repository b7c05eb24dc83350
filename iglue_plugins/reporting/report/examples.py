"""The examples on which rows of a task disagree, as the data of a page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iglue_plugins.reporting.report.answers import Answer
from iglue_plugins.reporting.report.pictures import Thumbnails
from iglue_plugins.reporting.report.row_answers import RowAnswers

RANKS = 5  # images of a ranking that are shown
TOP_LABELS = 3  # labels whose probabilities are shown, besides the right one
DIGITS = 3  # of probabilities and similarities


@dataclass(frozen=True)
class TaskExamples:
    """The examples of a task, as the page's script reads them.

    Attributes:
        data: JSON values; `script.js` says what they are.
        left_out: The number of examples on which rows disagree too, and for which there was no room.
    """

    data: dict[str, Any]
    left_out: int

    @property
    def shown(self) -> int:
        """The number of examples in the data."""
        return len(self.data["examples"])


@dataclass(frozen=True)
class _Example:
    """An example on which rows disagree, with the answer of each row."""

    language: str
    place: int
    answers: tuple[Answer, ...]
    right: tuple[int, ...]


def examples_of_task(
    task: str, rows: Mapping[str, RowAnswers], seeds: Sequence[int], thumbnails: Thumbnails, room: int
) -> TaskExamples | None:
    """Collect the examples on which rows disagree, as many as there is room for, of all languages alike.

    Which are left out does not depend on their place: they are ordered by the hashes of their ids, so that the
    languages' translations of one example, which share its picture, are kept together.

    Args:
        task: The task's name.
        rows: The answers of each row, by label.
        seeds: The seeds of the rows.
        thumbnails: The task's pictures.
        room: The number of bytes that data and pictures may take.

    Returns:
        The examples; None if no two rows disagree, or files have no answers.
    """
    every = sorted(_disagreements(list(rows.values())), key=_digest)
    writer, kept, used = _Writer(rows, thumbnails), [], 0
    for example in every:
        if used >= room:
            break
        content, size = writer.write(example)
        kept.append((example, content))
        used += size
    if not every:
        return None
    languages = list(dict.fromkeys(language for of_row in rows.values() for language in of_row.first))
    kept.sort(key=lambda item: (languages.index(item[0].language), item[0].place))
    data: dict[str, Any] = {
        "task": task,
        "rows": list(rows),
        "seed": seeds[0],
        "seeds": len(seeds),
        "ranks": every[0].answers[0].is_ranking,
        "labels": list(writer.labels),
        "images": [[image, thumbnails.uri(image)] for image in writer.images],
        "examples": [content for _, content in kept],
    }
    return TaskExamples(data, len(every) - len(kept))


def _disagreements(rows: Sequence[RowAnswers]) -> Iterator[_Example]:
    """Yield the examples to which all rows have an answer, and not the same one."""
    for language, answers in rows[0].first.items():
        others = [of_row.first.get(language, {}) for of_row in rows[1:]]
        for place, (id_, answer) in enumerate(answers.items()):
            found = [answer, *(of_row[id_] for of_row in others if id_ in of_row)]
            if len(found) == len(rows) and len({each.prediction for each in found}) > 1:
                right = tuple(of_row.right[language][id_] for of_row in rows)
                yield _Example(language, place, tuple(found), right)


def _digest(example: _Example) -> tuple[bytes, str]:
    return hashlib.blake2b(example.answers[0].id.encode(), digest_size=8).digest(), example.language


class _Writer:
    """Turns examples into JSON values, in which labels and images stand as numbers.

    Args:
        rows: The answers of each row.
        thumbnails: The task's pictures.

    Attributes:
        labels: The number of each label.
        images: The number of each image.
    """

    def __init__(self, rows: Mapping[str, RowAnswers], thumbnails: Thumbnails) -> None:
        pairs = {pair for of_row in rows.values() for counts in of_row.confusions.values() for pair in counts}
        words = sorted({label for pair in pairs for label in pair})
        self.labels = {label: number for number, label in enumerate(words)}
        self.images: dict[str, int] = {}
        self._thumbnails = thumbnails

    def write(self, example: _Example) -> tuple[list[Any], int]:
        """Turn an example into a JSON value.

        Args:
            example: The example.

        Returns:
            The value, and the number of bytes that it takes together with pictures that no example before it has.
        """
        before = len(self.images)
        first = example.answers[0]
        text = next((answer.text for answer in example.answers if answer.text is not None), None)
        images = next((answer.image_ids for answer in example.answers if answer.image_ids), ())
        answers = [
            [*(self._ranking(answer) if first.is_ranking else self._label(answer)), right]
            for answer, right in zip(example.answers, example.right, strict=True)
        ]
        label = self._image(first.label) if first.is_ranking else self._number(first.label)
        value = [example.language, first.id, text, label, [self._image(image) for image in images], answers]
        new = list(self.images)[before:]
        size = len(json.dumps(value, ensure_ascii=False).encode())
        return value, size + sum(len(image.encode()) + len(self._thumbnails.uri(image) or "") for image in new)

    def _label(self, answer: Answer) -> list[Any]:
        """Write the label given and the probabilities of the most probable labels and of the right one."""
        if answer.likelihoods is None:
            return [self._number(answer.prediction), None]
        kept = [
            [self._number(label), _rounded(probability)]
            for place, (label, probability) in enumerate(answer.likelihoods)
            if place < TOP_LABELS or label in (answer.label, answer.prediction)
        ]
        return [self._number(answer.prediction), kept]

    def _ranking(self, answer: Answer) -> list[Any]:
        """Write the best images, their similarities, and the rank and the similarity of the caption's image."""
        images = [self._image(image) for image in answer.predictions[:RANKS]]
        similarities = answer.likelihoods and [_rounded(number) for _, number in answer.likelihoods[:RANKS]]
        ranks = [rank for rank, image in enumerate(answer.predictions, 1) if image == answer.label]
        own = [ranks[0] if ranks else None, len(answer.predictions), _rounded(answer.label_similarity)]
        return [images, similarities, own]

    def _number(self, label: str) -> int:
        return self.labels.setdefault(label, len(self.labels))

    def _image(self, image: str) -> int:
        return self.images.setdefault(image, len(self.images))


def _rounded(number: float | None) -> float | None:
    return None if number is None else float(f"{number:.{DIGITS}g}")
