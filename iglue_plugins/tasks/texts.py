"""The texts of tasks and of files; each source can be gone through again."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset

from iglue_plugins.data.annotations.entries import read_json_lines
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.iglue.task import IGLUETask
from iglue_plugins.utils.errors import UserError, did_you_mean

COLUMNS = ("text", "caption")
ROWS_AT_ONCE = 1000
SUFFIXES = (".txt", ".jsonl")


@dataclass(frozen=True)
class DatasetTexts:
    """The texts and captions of a task's examples."""

    dataset: Dataset

    def __iter__(self) -> Iterator[str]:
        columns = [name for name in COLUMNS if name in self.dataset.column_names]
        for rows in self.dataset.select_columns(columns).iter(ROWS_AT_ONCE):
            yield from (text for name in columns for text in rows[name] if text is not None)


@dataclass(frozen=True)
class FileTexts:
    """The lines of a .txt file that are not blank, or all texts in the objects of a .jsonl file, keys left out.

    Raises:
        UserError: a name that ends in neither, a file that cannot be read or is not UTF-8, a line that is no JSON
            object.
    """

    path: Path

    def __post_init__(self) -> None:
        if self.path.suffix not in SUFFIXES:
            raise UserError(
                f"{self.path}: found a name that ends in '{self.path.suffix}', expected .txt (a text on "
                "each line) or .jsonl (a JSON object on each line)"
            )
        next(iter(self), None)  # what cannot be read shows at once

    def __iter__(self) -> Iterator[str]:
        if self.path.suffix == ".txt":
            return self._lines()
        return itertools.chain.from_iterable(_strings(entry.values) for entry in read_json_lines(self.path))

    def _lines(self) -> Iterator[str]:
        try:
            with self.path.open("rb") as file:
                yield from filter(str.strip, itertools.starmap(self._decoded, enumerate(file, 1)))
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read ({error.strerror}), expected a file of texts") from error

    def _decoded(self, number: int, line: bytes) -> str:
        try:
            return line.decode("utf-8").strip("\r\n\ufeff")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{self.path}: line {number}: found byte {error.object[error.start]:#x}, which is not "
                "UTF-8, expected UTF-8 text"
            ) from error


def _strings(value: Any) -> Iterator[str]:
    """All texts in a JSON value, but for the keys of its objects."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


@dataclass(frozen=True)
class TaskTexts:
    """A task's texts by language, and what was left out ('train/ar'), by the reason."""

    languages: dict[str, list[Iterable[str]]]
    left_out: dict[str, list[str]]


def task_texts(task: Task, languages: Collection[str] | None = None) -> TaskTexts:
    """The texts of all splits of a task that there are, in these languages (default: all of the task's).

    Raises:
        UserError: a language that the task does not have, a damaged file, or there are no texts at all.
    """
    languages = languages or task.languages
    for language in languages:
        if language not in task.languages:
            raise UserError(f"task {task.name}: found language '{language}'{did_you_mean(language, task.languages)}")
    load = _load_iglue if isinstance(task, IGLUETask) else _load
    texts = TaskTexts({}, {})
    for language in languages:
        for examples in load(task, language, texts.left_out):
            texts.languages.setdefault(language, []).append(DatasetTexts(examples))
    if not texts.languages:
        reasons = "; ".join(f"{reason}: {', '.join(parts)}" for reason, parts in texts.left_out.items())
        raise UserError(f"task {task.name}: found no texts in {', '.join(languages)}, expected some ({reasons})")
    return texts


def _load(task: Task, language: str, left_out: dict[str, list[str]]) -> Iterator[Dataset]:
    """Of any task: what cannot be loaded is left out, such as a language that only some splits have."""
    for split in task.splits:
        try:
            yield task.load(split, language)
        except UserError as error:
            left_out.setdefault(str(error), []).append(f"{split}/{language}")


def _load_iglue(task: IGLUETask, language: str, left_out: dict[str, list[str]]) -> Iterator[Dataset]:
    """Of a task that reads files: those that are not there are left out."""
    splits = [split for split in task.config.splits if language in task.config.split_languages(split)]
    for split in splits:
        for shots in task.config.shots(split, language) or (None,):
            if task.present(split, language, shots and str(shots)):
                yield task.load(split, language, shots)
            else:
                missing = left_out.setdefault(f"no file below {task.datasets_folder}", [])
                missing.append(f"{split}/{language}" if shots is None else f"{split}/{language}/{shots}")
