"""Progress bars on standard error, if that is a terminal."""

from __future__ import annotations

import os
from typing import Any

from tqdm import tqdm

SILENT = "TQDM_DISABLE"  # set in worker processes, whose bars would write over each other


def bar(**options: Any) -> tqdm:
    """A tqdm bar that leaves nothing behind, and is silent in a worker process."""
    return tqdm(leave=False, disable=True if os.environ.get(SILENT) else None, **options)
