"""The texts of tasks and of files, as iterables that can be iterated more than once."""

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
BATCH_SIZE = 1000
SUFFIXES = (".txt", ".jsonl")


@dataclass(frozen=True)
class DatasetTexts:
    """The texts and captions of a task's examples.

    Attributes:
        dataset: The examples.
    """

    dataset: Dataset

    def __iter__(self) -> Iterator[str]:
        columns = [name for name in COLUMNS if name in self.dataset.column_names]
        for rows in self.dataset.select_columns(columns).iter(BATCH_SIZE):
            yield from (text for name in columns for text in rows[name] if text is not None)


@dataclass(frozen=True)
class FileTexts:
    """The texts of a file: the lines of a .txt file that are not blank, or all strings in a .jsonl file except keys.

    Attributes:
        path: The file.

    Raises:
        UserError: The name has another ending, the file cannot be read or is not UTF-8, or a line of a .jsonl file is
            not a JSON object. Problems of the first text are found at once, others while the texts are read.
    """

    path: Path

    def __post_init__(self) -> None:
        if self.path.suffix not in SUFFIXES:
            raise UserError(
                f"{self.path}: the name ends in '{self.path.suffix}', expected .txt (a text on each line) or .jsonl "
                "(a JSON object on each line)"
            )
        next(iter(self), None)  # a file that cannot be read is found here, rather than later

    def __iter__(self) -> Iterator[str]:
        if self.path.suffix == ".txt":
            return self._lines()
        return itertools.chain.from_iterable(_strings(entry.values) for entry in read_json_lines(self.path))

    def _lines(self) -> Iterator[str]:
        try:
            with self.path.open("rb") as file:
                yield from filter(str.strip, itertools.starmap(self._decode, enumerate(file, 1)))
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read ({error.strerror}); name a file of texts") from error

    def _decode(self, number: int, line: bytes) -> str:
        try:
            return line.decode("utf-8").strip("\r\n\ufeff")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{self.path}: line {number}: byte {error.object[error.start]:#x} is not UTF-8; save the file as UTF-8"
            ) from error


def _strings(value: Any) -> Iterator[str]:
    """Yield all strings in a JSON value, except the keys of its objects."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


@dataclass(frozen=True)
class TaskTexts:
    """The texts of a task.

    Attributes:
        languages: The texts, by language.
        left_out: The parts of the task without texts, such as 'train/ar', by the reason.
    """

    languages: dict[str, list[Iterable[str]]]
    left_out: dict[str, list[str]]


def task_texts(task: Task, languages: Collection[str] | None = None) -> TaskTexts:
    """Collect the texts of all splits of a task, leaving out those whose data are missing.

    Args:
        task: The task.
        languages: The languages to collect; default: all languages of the task.

    Returns:
        The texts by language, and what was left out.

    Raises:
        UserError: The task does not have one of the languages, a file is damaged, or there are no texts at all.
    """
    languages = languages or task.languages
    for language in languages:
        if language not in task.languages:
            raise UserError(f"task {task.name} has no language '{language}'{did_you_mean(language, task.languages)}")
    texts = TaskTexts({}, {})
    for language in languages:
        for examples in _load_splits(task, language, texts.left_out):
            texts.languages.setdefault(language, []).append(DatasetTexts(examples))
    if not texts.languages:
        reasons = "; ".join(f"{reason}: {', '.join(parts)}" for reason, parts in texts.left_out.items())
        raise UserError(f"task {task.name} has no texts in {', '.join(languages)} ({reasons})")
    return texts


def _load_splits(task: Task, language: str, left_out: dict[str, list[str]]) -> Iterator[Dataset]:
    """Yield the splits of a task in a language, and list those that cannot be loaded in `left_out`."""
    if isinstance(task, IGLUETask):
        yield from _load_files(task, language, left_out)
        return
    for split in task.splits:
        try:
            yield task.load(split, language)
        except UserError as error:
            left_out.setdefault(str(error), []).append(f"{split}/{language}")


def _load_files(task: IGLUETask, language: str, left_out: dict[str, list[str]]) -> Iterator[Dataset]:
    """Yield the splits of a task that reads files, and list those whose file is missing in `left_out`.

    A file that is damaged is an error, rather than left out.
    """
    splits = [split for split in task.config.splits if language in task.config.split_languages(split)]
    for split in splits:
        for shots in task.config.shots(split, language) or (None,):
            if task.find_source(split, language, None if shots is None else str(shots)):
                yield task.load(split, language, shots)
            else:
                missing = left_out.setdefault(f"no file below {task.datasets_folder}", [])
                missing.append(f"{split}/{language}" if shots is None else f"{split}/{language}/{shots}")
