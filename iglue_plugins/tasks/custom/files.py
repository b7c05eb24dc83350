"""The files of a user's own data, and the languages in them; this module imports neither PyTorch nor datasets."""

from __future__ import annotations

import functools
import glob
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from iglue_plugins.recipes.problems import Problems
from iglue_plugins.tasks.custom.facts import FACTS_FILE, CustomFacts, check_named_languages, read_facts
from iglue_plugins.tasks.custom.kinds import Kind
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.text import is_utf8, printable

PLACEHOLDERS = ("{language}", "{split}")
PATTERN_PARTS = re.compile(r"(\{[^{}]*\}|\*\*/|\*|\?)")
REGEX_PARTS = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}


@dataclass(frozen=True)
class DataFile:
    """A file of rows.

    Attributes:
        path: The file.
        language: The language that its name says, or None.
        split: The name of the split that its name says, or None.
    """

    path: Path
    language: str | None
    split: str | None


@dataclass(frozen=True)
class CustomData:
    """A user's own data: what the YAML file says, with the paths and languages that it comes to.

    Attributes:
        path: The YAML file.
        facts: Its content.
        root: The folder that its paths are relative to.
        files: The files of rows, in the order of the patterns and of their names.
        languages: The languages, the source language first.
    """

    path: Path
    facts: CustomFacts
    root: Path
    files: tuple[DataFile, ...]
    languages: tuple[str, ...]


def read_data(data: Path | None, kind: Kind, owner: str) -> CustomData:
    """Read what the YAML file of a user's own data says, and find the files and languages.

    Args:
        data: The YAML file, or a folder with task.yaml.
        kind: The kind of task.
        owner: The name of the task, for errors.

    Returns:
        The data; no row has been checked.

    Raises:
        UserError: There is no such file, it has problems, or there are no files of rows.
    """
    if data is None:
        raise UserError(
            f"{owner} needs data; set task.data in the recipe, or --data-root, to a folder with {FACTS_FILE}, or to a "
            "YAML file like it"
        )
    path = data / FACTS_FILE if data.is_dir() else data
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; task.data names a folder with {FACTS_FILE}, which describes the data, or a YAML "
            "file like it"
        )
    facts = read_facts(path, kind, owner)
    root = path.parent / facts.root
    if not root.is_dir():
        raise UserError(
            f"{path}: root: found '{facts.root}', but {root} is not a folder; name the folder with the data"
        )
    files = tuple(_find_files(path, root, facts.files))
    languages = facts.languages or _languages_of(files, facts.columns.language)
    problems = Problems()
    for key, text in check_named_languages(facts, languages):
        problems.add(str(path), key, text)
    problems.raise_if_any()
    first = facts.source_language
    ordered = (first, *(language for language in languages if language != first))
    return CustomData(path, facts, root, files, ordered)


def _find_files(path: Path, root: Path, patterns: Sequence[str]) -> Iterator[DataFile]:
    """Yield the files that patterns name, each once.

    Raises:
        UserError: A pattern cannot be used, or names no file.
    """
    seen: set[Path] = set()
    for pattern in patterns:
        regex = _regex(path, pattern)
        found = 0
        for file in sorted(root.glob(_glob(pattern))):
            match = regex.fullmatch(file.relative_to(root).as_posix())
            if match is None or not file.is_file():
                continue
            found += 1
            if file not in seen:
                seen.add(file)
                named = match.groupdict()
                yield DataFile(file, named.get("language"), named.get("split"))
        if not found:
            raise UserError(
                f"{path}: files: '{pattern}' names no file in {root}; write the files' names, with * for any name"
            )


def _glob(pattern: str) -> str:
    parts = PATTERN_PARTS.split(pattern)
    return "".join(
        "*" if part in PLACEHOLDERS else part if part in REGEX_PARTS else glob.escape(part) for part in parts
    )


def _regex(path: Path, pattern: str) -> re.Pattern[str]:
    """Turn a pattern into a regular expression with the groups `language` and `split`."""
    if not pattern or Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise UserError(f"{path}: files: found '{pattern}', expected the names of files below root")
    regex, groups = "", set[str]()
    for part in PATTERN_PARTS.split(pattern):
        if part in PLACEHOLDERS:
            name = part[1:-1]
            regex += f"(?P={name})" if name in groups else f"(?P<{name}>[^/.]+?)"
            groups.add(name)
        elif part.startswith("{"):
            raise UserError(f"{path}: files: found '{part}' in '{pattern}', expected {' or '.join(PLACEHOLDERS)}")
        else:
            regex += REGEX_PARTS.get(part) or re.escape(part)
    return re.compile(regex)


def _languages_of(files: Sequence[DataFile], column: str) -> tuple[str, ...]:
    """List the languages that files or their rows name, sorted.

    Raises:
        UserError: They name none.
    """
    found = {file.language for file in files if file.language is not None}
    for file in files:
        if file.language is None:
            status = _status(file.path)
            found |= _languages_in_rows(file.path, status, column)
    if not found:
        places = ", ".join(printable(str(file.path)) for file in files[:3])
        raise UserError(
            f"{places}: no row has a language in its field '{column}'; add it to the rows, or put {{language}} into "
            "`files` where the files' names say it, or set `languages` to the only one"
        )
    return tuple(sorted(found))


def _status(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    return status.st_size, status.st_mtime_ns


@functools.lru_cache(maxsize=1024)
def _languages_in_rows(path: Path, status: tuple[int, int], column: str) -> frozenset[str]:
    """List the languages of a file's rows; those that are damaged are left to the reader of the rows."""
    found: set[str] = set()
    try:
        with path.open("rb") as file:
            for line in file:
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                language = row.get(column) if isinstance(row, dict) else None
                if isinstance(language, str) and language and is_utf8(language):
                    found.add(language)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    return frozenset(found)
