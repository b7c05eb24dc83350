"""What a file holds, entry by entry, with errors that name the place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from iglue_plugins.utils.errors import UserError, did_you_mean

IMAGE_SUFFIX = re.compile(r"\.(jpe?g|png|gif|bmp|webp|tiff?|npy)$", re.IGNORECASE)


class Entry:
    """One annotation of a file: its values, and where it stands."""

    __slots__ = ("path", "place", "values")

    def __init__(self, path: Path | str, place: str, values: Any) -> None:
        self.path = path
        self.place = place
        self.values = values
        if not isinstance(values, dict):
            raise self.problem(f"found {type(values).__name__}", "expected an object with keys and values")

    def problem(self, found: str, expected: str) -> UserError:
        return UserError(f"{self.path}: {self.place}: {found}, {expected}")

    def value(self, key: str) -> Any:
        if key not in self.values:
            raise self.problem(f"found no '{key}'", f"expected it beside {', '.join(sorted(map(str, self.values)))}")
        return self.values[key]

    def text(self, key: str) -> str:
        value = self.value(key)
        if not isinstance(value, str):
            raise self.problem(f"found {key} {value!r}", "expected text")
        return value

    def identifier(self, key: str) -> str:
        """Text, or a whole number as text."""
        value = self.value(key)
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise self.problem(f"found {key} {value!r}", "expected text or a whole number")
        return str(value)

    def word(self, key: str, choices: Iterable[str]) -> str:
        value = self.text(key)
        if value not in choices:
            raise self.problem(f"found {key} '{value}'", f"expected one of {', '.join(choices)}{_hint(value, choices)}")
        return value


def _hint(value: str, choices: Iterable[str]) -> str:
    hint = did_you_mean(value, choices)
    return hint if "did you mean" in hint else ""


def json_lines(path: Path) -> Iterator[Entry]:
    """The objects of a file that has one on each line.

    Raises:
        UserError: the file cannot be read, is not UTF-8, or has a line that is no JSON object.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield Entry(path, f"line {number}", _parsed(line, path, f"line {number}"))
    except OSError as error:
        raise unreadable(path, error) from error


def json_content(path: Path) -> Any:
    """What a JSON file holds. Raises UserError as `json_lines`."""
    try:
        return _parsed(path.read_bytes(), path)
    except OSError as error:
        raise unreadable(path, error) from error


def _parsed(content: bytes, path: Path, place: str = "") -> Any:
    where = f"{path}: {place}" if place else f"{path}"
    try:
        return json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UserError(
            f"{where}: found byte {error.object[error.start]:#x}, which is not UTF-8, expected UTF-8 text"
        ) from error
    except json.JSONDecodeError as error:
        column = f"column {error.colno}" if place else f"line {error.lineno}, column {error.colno}"
        raise UserError(
            f"{where}: found JSON that is damaged or cut short ({error.msg}, {column}), expected a whole object"
        ) from error


def unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path}: cannot be read ({error.strerror}), expected an annotation file")


def image_name(name: str) -> str:
    """An image's name without folder and suffix, as region stores have it."""
    return IMAGE_SUFFIX.sub("", name.rpartition("/")[2])
