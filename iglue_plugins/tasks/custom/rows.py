"""Reading and checking the rows of a user's own data; this module imports neither PyTorch nor datasets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from iglue_plugins.data.annotations.entries import FILE_SUFFIX, Entry, read_json_lines
from iglue_plugins.tasks.custom.facts import PURPOSES, CustomFacts
from iglue_plugins.tasks.custom.files import DataFile
from iglue_plugins.tasks.custom.kinds import Kind
from iglue_plugins.utils.errors import UserError, did_you_mean
from iglue_plugins.utils.text import is_utf8, shown

MAX_PROBLEMS = 20  # different sentences about a file
MAX_LINES = 5  # that are named with a sentence


class Row(NamedTuple):
    """A row of a file, checked.

    Attributes:
        id: Its id.
        images: The names of its images, without their ending.
        text: Its text.
        language: The language of the text.
        label: Its label, as a word.
        caption: A text that describes the image, or None.
        split: The name of its split in the file.
        shots: The smallest number of shots that includes it; None unless it is a few-shot row.
    """

    id: str
    images: tuple[str, ...]
    text: str
    language: str
    label: str
    caption: str | None
    split: str
    shots: int | None

    def digest(self) -> bytes:
        """Return a hash of the example, 16 bytes."""
        content = [self.id, self.images, self.text, self.language, self.label, self.caption]
        canonical = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        return hashlib.blake2b(canonical.encode(), digest_size=16).digest()


class LineProblems:
    """Collects what is wrong with the lines of a file, so that a sentence which is true of many is said once.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: dict[str, list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, error: UserError) -> None:
        """Add the error of a line, as `Entry.error` makes it."""
        number, _, sentence = str(error).removeprefix(f"{self._path}: line ").partition(": ")
        self._lines.setdefault(sentence, []).append(number)

    def raise_if_any(self) -> None:
        """Raise what was added.

        Raises:
            UserError: Something was; the message has a line for each different sentence, up to 20.
        """
        if not self._lines:
            return
        said = [f"{self._path}: {_name(lines)}: {text}" for text, lines in [*self._lines.items()][:MAX_PROBLEMS]]
        if (more := len(self._lines) - MAX_PROBLEMS) > 0:
            said.append(f"{self._path}: {more} more things are wrong with its lines; correct these first")
        raise UserError("\n".join(said))


def _name(lines: list[str]) -> str:
    """Name lines by their numbers, of which all but the first few are counted."""
    if len(lines) == 1:
        return f"line {lines[0]}"
    named = ", ".join(lines[:MAX_LINES])
    return f"lines {named}" if len(lines) <= MAX_LINES else f"lines {named}, ... ({len(lines)} in all)"


@dataclass(frozen=True)
class RowReader:
    """Reads files of rows.

    Attributes:
        facts: The facts about the data.
        kind: The kind of task.
        languages: The languages.
        labels: The labels; None allows any.
    """

    facts: CustomFacts
    kind: Kind
    languages: tuple[str, ...]
    labels: tuple[str, ...] | None

    @property
    def split_names(self) -> tuple[str, ...]:
        """The names of splits that rows may have."""
        names = (getattr(self.facts.splits, purpose) or purpose for purpose in PURPOSES)
        return tuple(dict.fromkeys((*names, *self.facts.splits.others)))

    def read(self, file: DataFile) -> Iterator[Row]:
        """Read the rows of a file.

        Args:
            file: The file.

        Yields:
            The rows, in the order of the file.

        Raises:
            UserError: Rows are damaged or have wrong values; the message has a line for each different sentence, with
                the numbers of the first lines that it is true of.
        """
        problems = LineProblems(file.path)
        places: dict[tuple[str, str, str], str] = {}
        for entry in read_json_lines(file.path, problems.add):
            try:
                row = self._row(entry, file)
                first = places.setdefault((row.split, row.language, row.id), entry.place)
                if first != entry.place:
                    raise entry.error(
                        f"the id '{row.id}' is that of {first} too; give each row of a split and language its own"
                    )
            except UserError as error:
                problems.add(error)
            else:
                if not problems:
                    yield row
        problems.raise_if_any()
        if not places:
            raise UserError(f"{file.path}: has no rows; write a JSON object on each line")

    def _row(self, entry: Entry, file: DataFile) -> Row:
        columns = self.facts.columns
        split = self._named(entry, columns.split, file.split, self.split_names, "split")
        return Row(
            entry.identifier(columns.id),
            self._images(entry),
            _text(entry, columns.text),
            self._language(entry, file),
            self._label(entry),
            self._caption(entry),
            split,
            _shots(entry, columns.shots) if split == self.facts.splits.few_shot else None,
        )

    def _named(self, entry: Entry, key: str, from_name: str | None, choices: tuple[str, ...], kind: str) -> str:
        """Return the split or language of a row, from the row or from the file's name."""
        value = entry.values.get(key)
        if value is None:
            value = from_name
        elif not isinstance(value, str):
            raise entry.error(f"found {key} {shown(value)}, expected text")
        elif from_name not in (None, value):
            raise entry.error(
                f"found {key} {shown(value)}, but the file's name says '{from_name}'; correct one of them"
            )
        if value is None:
            raise entry.error(
                f"has no {kind} in the field '{key}'; add it, or put {{{kind}}} into `files` where the files' names "
                "say it"
            )
        if value not in choices:
            raise entry.error(
                f"found {kind} {shown(value)}, expected one of {', '.join(choices)}{_similar(value, choices)}"
            )
        return value

    def _language(self, entry: Entry, file: DataFile) -> str:
        only = self.languages[0] if self.facts.languages is not None and len(self.languages) == 1 else None
        return self._named(entry, self.facts.columns.language, file.language or only, self.languages, "language")

    def _images(self, entry: Entry) -> tuple[str, ...]:
        keys = self.facts.column(self.kind, "images")
        values = [entry.value(key) for key in keys]
        if len(values) == 1 and isinstance(values[0], list):
            values = values[0]
        if len(values) != self.kind.images:
            expected = "an image's name" if self.kind.images == 1 else f"a list of {self.kind.images} images' names"
            raise entry.error(f"found {' and '.join(keys)} {shown(entry.value(keys[0]))}, expected {expected}")
        return tuple(_image(entry, keys[0], value) for value in values)

    def _label(self, entry: Entry) -> str:
        if not self.kind.has_labels:
            assert self.kind.labels is not None  # a kind without labels in its rows has one of its own
            return self.kind.labels[0]
        key = self.facts.columns.label
        value = entry.value(key)
        label = str(value) if isinstance(value, bool) else entry.identifier(key)
        if self.labels is not None and label not in self.labels:
            raise entry.error(
                f"found label {shown(value)}, expected one of {', '.join(self.labels)}{_similar(label, self.labels)}"
            )
        return label

    def _caption(self, entry: Entry) -> str | None:
        for key in self.facts.column(self.kind, "caption"):
            if entry.values.get(key) is not None:
                return _text(entry, key)
            if self.facts.columns.caption is not None and key not in entry.values:
                entry.value(key)  # raises the error of a key that is missing
        return None


def _text(entry: Entry, key: str) -> str:
    text = entry.text(key)
    if not text.strip():
        raise entry.error(f"found {key} {shown(text)}, expected text; write it, or leave the row out")
    return text


def _image(entry: Entry, key: str, value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not is_utf8(value) or not (name := FILE_SUFFIX.sub("", value)):
        raise entry.error(f"found {key} {shown(value)}, expected an image's name")
    return name


def _shots(entry: Entry, key: str) -> int:
    value = entry.value(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 2**31:
        raise entry.error(f"found {key} {shown(value)}, expected the smallest number of shots that includes the row")
    return value


def _similar(value: str, choices: tuple[str, ...]) -> str:
    suggestion = did_you_mean(value, choices)
    return suggestion if "did you mean" in suggestion else ""
