"""Terminals of another encoding, and paths that a shell leaves as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[..., Path]


@pytest.mark.parametrize("encoding", ["ascii", "koi8-r"])
def test_what_a_terminal_cannot_show_is_replaced(encoding: str, write: Write, tmp_path: Path) -> None:
    options = ["--seeds", "0,1", "--split", "dev", "--output=~/out"]
    ended = subprocess.run(
        [sys.executable, "-m", "iglue_plugins", "compare", write("row"), *options],
        env=os.environ | {"PYTHONIOENCODING": encoding, "HOME": str(tmp_path)},
        capture_output=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert b"row" in ended.stdout and b"?" in ended.stdout  # in the place of the sign for plus-minus
    assert len(list((tmp_path / "out").iterdir())) == 5  # the home folder is known in --output=~/out
