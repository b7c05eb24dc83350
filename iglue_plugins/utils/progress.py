"""Progress bars on standard error, if it is a terminal."""

from __future__ import annotations

import os
from typing import Any

from tqdm import tqdm

DISABLE_BARS = "TQDM_DISABLE"  # the environment variable that silences bars, set in worker processes


def progress_bar(**options: Any) -> tqdm[Any]:
    """Make a tqdm bar that is erased when it is done, and stays silent in a worker process.

    Args:
        **options: Arguments of `tqdm.tqdm`, such as `iterable`, `total`, `desc` and `unit`.

    Returns:
        The bar, to iterate over or to update.
    """
    return tqdm(leave=False, disable=True if os.environ.get(DISABLE_BARS) else None, **options)
