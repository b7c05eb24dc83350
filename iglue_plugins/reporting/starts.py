"""What the runs of a row started from, as tables say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from iglue_plugins.reporting.results import RunResult

NAMED = 2  # runs


def started_from(row: Sequence[RunResult], rows: Mapping[str, Sequence[RunResult]]) -> str:
    """Describe the weights that the runs of a row started from.

    Args:
        row: The results of the row's runs.
        rows: The results of all rows of the table, by label.

    Returns:
        The row that they started from, if it is in the table; otherwise the folders of runs, or a checkpoint.
    """
    starts = [result.record.get("start_from") for result in row]
    found = [start for start in starts if start is not None]
    if not found:
        return "the model's own weights"
    fingerprints = {start.get("fingerprint") for start in found}
    for label, other in rows.items():
        if fingerprints <= {result.record.get("fingerprint") for result in other}:
            return f"row {label}"
    paths = list(dict.fromkeys(Path(start["path"]) for start in found))
    names = [path.parent.name if path.name == "model" else str(path) for path in paths]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
