"""Whether processes are still there."""

from __future__ import annotations

from pathlib import Path


def is_running(process: int) -> bool:
    """Return whether a process has not ended; one that nobody has waited for has.

    Args:
        process: Its number.
    """
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
