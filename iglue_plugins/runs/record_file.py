"""The file of a run's record, which somebody else may have written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.strict_json import parse_json

RECORD_FORMAT = 1


def read_record_file(path: Path) -> dict[str, Any] | None:
    """Read a record.

    Args:
        path: The file.

    Returns:
        The record, or None if there is no such file.

    Raises:
        UserError: The record is damaged, or has another format.
    """
    try:
        record = parse_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"{path}: the record cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: the record is damaged ({error}); delete it and run again") from error
    found = record.get("format") if isinstance(record, dict) else type(record).__name__
    if found != RECORD_FORMAT:
        raise UserError(f"{path}: the record has format {found!r} instead of {RECORD_FORMAT}; delete it and run again")
    return record
