"""The entries of annotation files, whose errors name the file and the place in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from iglue_plugins.utils.errors import UserError, did_you_mean
from iglue_plugins.utils.strict_json import DamagedJSONError, parse_json
from iglue_plugins.utils.text import is_utf8, printable, shown

FILE_SUFFIX = re.compile(r"\.(jpe?g|png|gif|bmp|webp|tiff?|npy)$", re.IGNORECASE)

MAX_BITS = 1000  # of a whole number that is an id
MAX_NAMED_KEYS = 30


class Entry:
    """One annotation of a file.

    Args:
        path: The file, for errors.
        place: The entry's place in the file, for errors.
        values: The entry's values by key.

    Attributes:
        path: As the argument.
        place: As the argument.
        values: As the argument.

    Raises:
        UserError: `values` is not a dict.
    """

    __slots__ = ("path", "place", "values")

    def __init__(self, path: Path | str, place: str, values: Any) -> None:
        self.path = path
        self.place = place
        self.values = values
        if not isinstance(values, dict):
            raise self.error(f"found {type(values).__name__}, expected an object with keys and values")

    def error(self, message: str) -> UserError:
        """Makes an error that names the file and the place of the entry.

        Args:
            message: What is wrong with the entry.
        """
        return UserError(f"{self.path}: {printable(f'{self.place}: {message}')}")

    def value(self, key: str) -> Any:
        """Returns the value of a key.

        Raises:
            UserError: The entry lacks the key.
        """
        if key not in self.values:
            keys = sorted(map(str, self.values))[:MAX_NAMED_KEYS]
            raise self.error(f"has no key '{key}' (its keys are {', '.join(keys)})")
        return self.values[key]

    def text(self, key: str) -> str:
        """Returns the value of a key, which must be text.

        Raises:
            UserError: The entry lacks the key, or its value is not text.
        """
        value = self.value(key)
        if not isinstance(value, str) or not is_utf8(value):
            raise self.error(f"found {key} {shown(value)}, expected text")
        return value

    def identifier(self, key: str) -> str:
        """Returns the value of a key, which must be text or a whole number, as text.

        Raises:
            UserError: The entry lacks the key, or its value is neither.
        """
        value = self.value(key)
        if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < MAX_BITS:
            return str(value)
        if not isinstance(value, str) or not is_utf8(value):
            raise self.error(f"found {key} {shown(value)}, expected text or a whole number")
        return value

    def choice(self, key: str, choices: Collection[str]) -> str:
        """Returns the value of a key, which must be one of some words.

        Args:
            key: The key.
            choices: The words that are allowed.

        Raises:
            UserError: The entry lacks the key, or its value is none of the words; the error suggests a similar one.
        """
        value = self.text(key)
        if value not in choices:
            suggestion = did_you_mean(value, choices)
            suggestion = suggestion if "did you mean" in suggestion else ""
            raise self.error(f"found {key} '{value}', expected one of {', '.join(choices)}{suggestion}")
        return value


def read_json_lines(path: Path, report: Callable[[UserError], None] | None = None) -> Iterator[Entry]:
    """Reads a file with a JSON object on each line; empty lines are skipped.

    Args:
        path: The file.
        report: The function that takes the error of a line, which is skipped then; None raises the error.

    Yields:
        An entry for each object.

    Raises:
        UserError: The file cannot be read; or, without `report`, it is not UTF-8 or has a line that is not a JSON
            object.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    entry = Entry(path, f"line {number}", _parse_json(line, path, f"line {number}"))
                except UserError as error:
                    if report is None:
                        raise
                    report(error)
                else:
                    yield entry
    except OSError as error:
        raise unreadable_file_error(path, error) from error


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Args:
        path: The file.

    Raises:
        UserError: The file cannot be read, is not UTF-8, or is not JSON.
    """
    try:
        return _parse_json(path.read_bytes(), path)
    except OSError as error:
        raise unreadable_file_error(path, error) from error


def _parse_json(content: bytes, path: Path, place: str = "") -> Any:
    where = f"{path}: {place}" if place else f"{path}"
    try:
        return parse_json(content)
    except UnicodeDecodeError as error:
        raise UserError(
            f"{where}: found byte {error.object[error.start]:#x}, which is not UTF-8; save the file as UTF-8"
        ) from error
    except DamagedJSONError as error:
        reason = f"{error.reason}, column {error.column}" if place and error.column else str(error)
        raise UserError(
            f"{where}: found JSON that is damaged or cut short ({reason}); download or make the file again"
        ) from error


def unreadable_file_error(path: Path, error: OSError) -> UserError:
    """Makes the error for a file that cannot be read.

    Args:
        path: The file.
        error: Why it cannot be read.
    """
    return UserError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions")


def image_name(name: str) -> str:
    """Returns the name of an image without folder and suffix, as region stores have it."""
    return FILE_SUFFIX.sub("", name.rpartition("/")[2])
