"""What a file of predictions has, by its first line."""

from __future__ import annotations

from pathlib import Path

import pytest

from iglue_plugins.runs.prediction_rows import read_first_row
from iglue_plugins.utils.errors import UserError


def test_the_first_line_is_read_whatever_follows(tmp_path: Path) -> None:
    path = tmp_path / "de.jsonl"
    path.write_text('\ufeff{"id": "1", "text": "a\\u2028b"}\n{"damaged')
    assert read_first_row(path) == {"id": "1", "text": "a\u2028b"}


@pytest.mark.parametrize("content", [b"", b'{"id": "1"', b"[1]\n", b"\xff\n"])
def test_a_damaged_first_line_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "de.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"^{path}: (line 1 is damaged|cannot be read)"):
        read_first_row(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"de.jsonl: cannot be read .*; run the evaluation again$"):
        read_first_row(tmp_path / "de.jsonl")
