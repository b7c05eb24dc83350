"""Lines of several processes on one standard error."""

from __future__ import annotations

import io
import sys

import pytest

from iglue_plugins.utils.lines import say


class Pieces(io.RawIOBase):
    """Keeps what each write brings."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: bytes) -> int:  # type: ignore[override]
        self.pieces.append(bytes(piece))
        return len(piece)


def test_a_line_and_its_end_are_one_piece_where_nothing_is_buffered(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Pieces()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(written, "utf-8", write_through=True))
    say("training a")
    say("training b")
    assert written.pieces == [b"training a\n", b"training b\n"]


def test_without_standard_error_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    say("training a")
