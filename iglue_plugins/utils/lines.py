"""Lines on standard error."""

from __future__ import annotations

import sys


def say(line: str) -> None:
    """Print a line on standard error in one piece, so that those of several processes do not run into each other.

    Where nothing is buffered (PYTHONUNBUFFERED), `print` writes a line and its end apart.

    Args:
        line: The line, without its end.
    """
    if sys.stderr is not None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
