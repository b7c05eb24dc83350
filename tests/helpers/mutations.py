"""Mutations of files, as hypothesis draws them, and what a reader may do with a mutated file."""

from __future__ import annotations

import contextlib
import copy
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st

from iglue_plugins.utils.errors import UserError

T = TypeVar("T")
MAX_EDITS = 4
CHARACTERS = [b"\0", b"\xff", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\r", b"\n"]
JSON_PARTS = [b'"', b"[", b"]", b"{", b"}", b",", b":", b"\\", b"NaN", b"-Infinity", b"1e999", b"null", b"true", b"\t"]
LONG = [b"9" * 5_000, b"[" * 100_000, b'{"a":' * 100_000, b"\x7f" * 200]
NUMBERS = [bytes(8), b"\xff" * 8, (2**31 - 1).to_bytes(8, "little"), (2**40).to_bytes(8, "little")]
FRAGMENTS = [*CHARACTERS, *JSON_PARTS, *LONG, *NUMBERS]


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


ODD_NUMBERS = [0, -1, 2**70, 10**400, 1.5, float("nan"), float("inf"), -1e308]
ODD_TEXTS = ["", "\0", "\ud800", "line\nbreak\u2028", "\x1b[2J", "Ａ", "true", "x" * 10_000]
ODD_VALUES: list[Any] = [None, True, False, *ODD_NUMBERS, *ODD_TEXTS, [], {}, [[]], {"a": {}}, nested(200)]


def read_or_refuse(read: Callable[[], T]) -> T | None:
    """Returns what `read` returns, or None if it refuses the file by a user error in one line."""
    try:
        return read()
    except UserError as error:
        message = str(error)
        if not message or "\n" in message:
            pytest.fail(f"an error of other than one line: {message!r}")
        return None


@contextlib.contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Makes a folder for one example of hypothesis."""
    with tempfile.TemporaryDirectory(dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@st.composite
def mutated_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """Draws edits of a file's bytes: flipped, changed, inserted, deleted, repeated and swapped ones, and a cut end."""
    edited = bytearray(content)
    for _ in range(draw(st.integers(1, MAX_EDITS))):
        start = draw(st.integers(0, max(len(edited) - 1, 0)))
        length = draw(st.sampled_from([1, 2, 4, 8, 50, 1000]))
        match draw(st.sampled_from(["flip", "change", "write", "insert", "delete", "repeat", "swap", "cut"])):
            case "flip" if edited:
                edited[start] ^= 1 << draw(st.integers(0, 7))
            case "change" if edited:
                edited[start] = draw(st.integers(0, 255))
            case "write":
                fragment = draw(st.sampled_from(FRAGMENTS))[:1000]
                edited[start : start + len(fragment)] = fragment
            case "insert":
                edited[start:start] = draw(st.sampled_from(FRAGMENTS))
            case "delete":
                del edited[start : start + length]
            case "repeat":
                edited[start:start] = edited[start : start + length]
            case "swap":
                other = draw(st.integers(0, max(len(edited) - 1, 0)))
                first, second = edited[start : start + length], edited[other : other + length]
                if len(first) == len(second) and abs(start - other) >= length:
                    edited[start : start + length], edited[other : other + length] = second, first
            case "cut":
                del edited[start:]
    return bytes(edited)


@st.composite
def mutated_value(draw: st.DrawFn, value: Any) -> Any:
    """Draws a change of a value of JSON: a part is replaced, deleted, renamed, added, or swapped with another."""
    changed = copy.deepcopy(value)
    places = list(_places(changed))
    container, key = draw(st.sampled_from(places))
    match draw(st.sampled_from(["replace", "replace", "delete", "rename", "add", "swap"])):
        case "replace":
            container[key] = copy.deepcopy(draw(st.sampled_from(ODD_VALUES)))
        case "delete":
            del container[key]
        case "rename" if isinstance(container, dict):
            container[draw(st.sampled_from(["", "id", "\ud800", "a\nb", "label"]))] = container.pop(key)
        case "add" if isinstance(container, dict):
            container["another key"] = copy.deepcopy(draw(st.sampled_from(ODD_VALUES)))
        case "add":
            container.insert(key, copy.deepcopy(draw(st.sampled_from(ODD_VALUES))))
        case "swap":
            other, other_key = draw(st.sampled_from(places))
            if other is container:
                container[key], container[other_key] = container[other_key], container[key]
    return changed


def _places(value: Any) -> Any:
    """Yields the containers in a value, each with each of its keys or positions."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list) and value[key]:
            yield from _places(value[key])


@st.composite
def json_text(draw: st.DrawFn, value: Any) -> bytes:
    """Draws a text of a value, with or without escapes; one key may come twice."""
    text = json.dumps(value, ensure_ascii=draw(st.booleans()))
    if isinstance(value, dict) and value and draw(st.integers(0, 9)) == 0:
        key = draw(st.sampled_from(sorted(value)))
        text = f"{{{json.dumps(key)}: {json.dumps(value[key])}, {text[1:]}"
    return text.encode(errors="surrogatepass")
