"""The right answers that predictions are scored against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class GoldAnswers:
    """The right answers of a task's split in a language.

    Attributes:
        task: The task's name.
        language: The language's code.
        split: The split's name.
        answers: The label of each example, or the image of each caption, by the example's id; in the annotations'
            order.
        choices: The task's labels (None: any word is possible), or the images in the annotations' order.
        retrieval: Whether predictions are ranked images.
        unscored: Ids of further examples that a file may have predictions for.
        unlabelled: How many of the unscored examples have no label.
        vocabulary: Where any word is possible, the answers that the task knows.
    """

    task: str
    language: str
    split: str
    answers: Mapping[str, str]
    choices: tuple[str, ...] | None
    retrieval: bool = False
    unscored: frozenset[str] = frozenset()
    unlabelled: int = 0
    vocabulary: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The task, language and split, for errors."""
        return f"{self.task}/{self.language}, {self.split} split"

    @property
    def images(self) -> tuple[str, ...]:
        """The images of a retrieval task, in the annotations' order."""
        return self.choices or ()
