"""The file of a run's predictions in one language, a JSON object on each line."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.strict_json import DamagedJSONError, parse_json


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a file of predictions.

    Args:
        path: The file.

    Returns:
        The objects in the order of the lines.

    Raises:
        UserError: The file is missing or damaged.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); run the evaluation again") from error
    if lines.pop() != "":  # the last line of a whole file ends in a line break
        raise UserError(f"{path}: line {len(lines) + 1} is cut off; delete the file and run again")
    return _parse_lines(lines, path)


def read_first_row(path: Path) -> dict[str, Any]:
    """Read the first line of a file of predictions, which tells what its rows have.

    Args:
        path: The file.

    Returns:
        The object.

    Raises:
        UserError: The file is missing or empty, or the line is damaged.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            line = file.readline()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); run the evaluation again") from error
    return _parse_line(line, path, 1)


def _parse_lines(lines: Sequence[str], path: Path) -> list[dict[str, Any]]:
    """Parse JSON lines at once, in a third of the time, and one by one only to name a damaged one."""
    with contextlib.suppress(DamagedJSONError):
        rows = parse_json(f"[{','.join(lines)}]")
        if len(rows) == len(lines) and all(isinstance(row, dict) for row in rows):
            return rows
    return [_parse_line(line, path, number) for number, line in enumerate(lines, start=1)]


def _parse_line(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        row = parse_json(line)
    except DamagedJSONError as error:
        raise UserError(f"{path}: line {number} is damaged ({error}); delete the file and run again") from error
    if not isinstance(row, dict):
        raise UserError(f"{path}: line {number} is damaged (it is no object); delete the file and run again")
    return row
