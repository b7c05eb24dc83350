"""Contenders of a benchmark measured each in a process of its own, in rounds in which they take turns."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

Row = TypeVar("Row", bound=tuple[Any, ...])


def measure_in_process(script: str, arguments: Sequence[object], *, exact_peak: bool) -> dict[str, Any]:
    """Run a script on one thread, and return the JSON object that its last line prints.

    Args:
        script: The script.
        arguments: Its arguments.
        exact_peak: Whether the allocator gives large blocks back at once, so that the peak is that of what is in use.
    """
    command = [sys.executable, script, *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    if exact_peak:
        environment["MALLOC_MMAP_THRESHOLD_"] = str(2**18)
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def in_rounds(rows: Sequence[Row], rounds: int, measure: Callable[[Row], dict[str, Any]]) -> dict[Row, float]:
    """Measure rows in turns, and return the median of each row's seconds; NaN without rounds.

    Args:
        rows: The contenders.
        rounds: How often each is measured.
        measure: Measures a row; returns "seconds", a list.
    """
    seconds: dict[Row, list[float]] = {row: [] for row in rows}
    for number in range(rounds):
        for row in rows:
            found = measure(row)["seconds"]
            seconds[row] += found
            print(f"round {number + 1}: {row} {[round(second, 2) for second in found]}", file=sys.stderr)
    return {row: statistics.median(found or [float("nan")]) for row, found in seconds.items()}
