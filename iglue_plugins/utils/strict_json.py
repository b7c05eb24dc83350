"""JSON of files that others wrote: whatever is wrong with it is one kind of error, and nothing in it is dropped."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

LONE_SURROGATE = re.compile("[\ud800-\udfff]")
SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


class DamagedJSONError(ValueError):
    """Says what is wrong with a JSON text, in one line.

    Attributes:
        reason: What is wrong.
        line: The number of the line, from 1; None if it is not known.
        column: The number of the character in the line, from 1; None if it is not known.
    """

    def __init__(self, reason: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(reason if line is None else f"{reason}, line {line}, column {column}")
        self.reason = reason
        self.line = line
        self.column = column


def parse_json(content: bytes | str) -> Any:
    """Read JSON.

    Args:
        content: The text, or its bytes in UTF-8; a byte order mark at the start of bytes is skipped.

    Returns:
        Dicts, lists, text, numbers, booleans and None.

    Raises:
        UnicodeDecodeError: The bytes are not UTF-8.
        DamagedJSONError: The text is not JSON, is nested too deeply, has a number of too many digits, has a key twice
            in an object, or holds a half of a surrogate pair, which cannot be written as UTF-8.
    """
    text = content if isinstance(content, str) else content.decode("utf-8-sig")
    try:
        parsed = json.loads(text, object_pairs_hook=_without_repeated_keys)
    except json.JSONDecodeError as error:
        raise DamagedJSONError(error.msg, error.lineno, error.colno) from error
    except RecursionError as error:
        raise DamagedJSONError("it is nested too deeply") from error
    except DamagedJSONError:
        raise
    except ValueError as error:  # Python limits the digits of whole numbers
        raise DamagedJSONError("a number has too many digits") from error
    if SURROGATE_ESCAPE.search(text) and LONE_SURROGATE.search(json.dumps(parsed, ensure_ascii=False)):
        raise DamagedJSONError("a \\u escape is half of a surrogate pair, which is no character")
    return parsed


def _without_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        repeated, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise DamagedJSONError(f"the key {repeated!r} comes twice in an object")
    return values
