"""Errors as they are printed."""

from __future__ import annotations

import os

import pytest

from iglue_plugins.utils.errors import UserError, exit_on_user_error
from iglue_plugins.utils.text import printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("größer 图", "größer 图"),
        (os.fsdecode(b"caf\xe9/\xc3\xa9"), r"caf\xe9/é"),
        ("a lone \ud83d", r"a lone \ud83d"),
        ("\x1b[2J\x00\x7f\x9b\t\r", r"\x1b[2J\x00\x7f\x9b\x09\x0d"),
        ("a\u2028b\n", r"a\u2028b\x0a"),
    ],
)
def test_what_a_terminal_cannot_show_or_would_obey_is_escaped(
    text: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printable(text) == expected
    with pytest.raises(SystemExit, match="2"), exit_on_user_error():
        raise UserError(f"first\n{text.strip()}")
    assert capsys.readouterr().err == f"iglue: first\n{printable(text.strip())}\n"
