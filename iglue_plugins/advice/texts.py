"""Texts of a task without their labels, and the number of its auxiliary examples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.spec import ExampleSet
from iglue_plugins.utils.errors import UserError

LAST_RESORT = "test"  # its texts are read only where a language has no others, and its labels never


@dataclass(frozen=True)
class LanguageTexts:
    """The texts of a language.

    Attributes:
        texts: The texts, without labels.
        examples: Which examples of the task they are of.
        size: The number of auxiliary examples in the language; None where it has none and cannot be trained on.
        reason: Why it has none; None where it has some.
    """

    texts: tuple[str, ...]
    examples: ExampleSet
    size: int | None
    reason: str | None


def read_texts(task: Task, language: str, limit: int) -> LanguageTexts:
    """Read the texts of a language: those of the auxiliary data, or else of another split, of the test split last.

    Args:
        task: The task.
        language: One of the task's languages.
        limit: The largest number of texts.

    Returns:
        The texts.

    Raises:
        UserError: The task has no texts in the language.
    """
    reasons: list[str] = []
    for examples in (ExampleSet(task.training_splits["auxiliary"], language), *_other_examples(task, language)):
        try:
            dataset = task.load(*examples)
        except UserError as error:
            reasons.append(str(error))
            continue
        if len(dataset):
            texts = tuple(dataset.select(range(min(limit, len(dataset))))["text"])
            if reasons:  # the first of which is that of the auxiliary data
                return LanguageTexts(texts, examples, None, reasons[0])
            return LanguageTexts(texts, examples, len(dataset), None)
        reasons.append(f"split '{examples.split}' is empty")
    raise UserError(
        f"task {task.name}: there are no texts in '{language}' ({reasons[-1]}); give its data, or leave it out"
    )


def _other_examples(task: Task, language: str) -> Iterator[ExampleSet]:
    """Yield what else a task has in a language, the test split last and of a few-shot split the most shots."""
    found = [
        ExampleSet(split, language, shots[-1])
        for split, of, shots in task.available_splits()
        if of == language and shots
    ]
    yield from sorted(found, key=lambda examples: examples.split == LAST_RESORT)
