"""Text of files that others wrote, as errors show it and as Arrow and JSON can write it."""

from __future__ import annotations

import re
import reprlib

# What GitHub gives a meaning within a line: emphasis, code, links, HTML, tables, formulas and strikethrough.
ESCAPES = str.maketrans({character: f"\\{character}" for character in "\\`*_|<>[]~$&"})


def is_utf8(text: str) -> bool:
    """Tells whether a text can be written as UTF-8; pickles and copies of files may hold halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    r"""Escape what a terminal cannot show or would obey: bytes that are not UTF-8, and control characters.

    Args:
        text: A text; bytes of file names that are not UTF-8 are surrogates in it, as `os.fsdecode` returns them.

    Returns:
        The text in one line, with `\xe9` in the place of such a byte.
    """
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", _escaped, text)


def shown(value: object) -> str:
    """Return a value as an error shows it: in one line of a sensible length, however large or deep the value is.

    Args:
        value: A value of a file.
    """
    return printable(_SHORT.repr(value))


def escape_markdown(text: str) -> str:
    """Escape the characters that have a meaning in Markdown, and put the text on one line."""
    return " ".join(text.split()).translate(ESCAPES)


def duration(seconds: float) -> str:
    """Return a time as people say it: its two largest units, such as "1 min 48 s".

    Args:
        seconds: The time, at least 0.
    """
    whole = max(round(seconds), 0)
    for size, unit, below, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


class _ShortRepr(reprlib.Repr):
    """Limits depth and length; a whole number of thousands of digits, which Python refuses to write, is described."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxdict = self.maxlist = self.maxtuple = 12
        self.maxstring = self.maxother = 200

    def repr_int(self, x: int, level: int) -> str:
        return f"a number of {x.bit_length()} bits" if x.bit_length() > 1000 else super().repr_int(x, level)


_SHORT = _ShortRepr()


def _escaped(character: re.Match[str]) -> str:
    code = ord(character[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
