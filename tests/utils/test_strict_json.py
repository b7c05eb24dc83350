"""JSON of others: what is wrong with it is one kind of error."""

from __future__ import annotations

import json

import pytest

from iglue_plugins.utils.strict_json import DamagedJSONError, parse_json


@pytest.mark.parametrize(
    "content", ['{"a": [1, "\u2028", null, 1e5]}', b'\xef\xbb\xbf["\xc3\xa9"]', '"\\ud83d\\ude00"']
)
def test_what_is_right_is_read_as_by_json(content: str | bytes) -> None:
    assert parse_json(content) == json.loads(content if isinstance(content, str) else content.decode("utf-8-sig"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1,\n "b"', r"Expecting ':' delimiter, line 2, column 5"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("9" * 5_000, "too many digits"),
        ('[{"a": 1, "b": 2, "a": 3}]', "the key 'a' comes twice"),
        (r'{"a": "\ud800"}', "half of a surrogate pair"),
        (r'{"\uDC00": 1}', "half of a surrogate pair"),
        ("", "Expecting value, line 1, column 1"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(content: str, message: str) -> None:
    with pytest.raises(DamagedJSONError, match=message) as error:
        parse_json(content)
    assert "\n" not in str(error.value)


def test_bytes_that_are_not_utf8_are_another_error() -> None:
    with pytest.raises(UnicodeDecodeError):
        parse_json(b'"\xff"')
