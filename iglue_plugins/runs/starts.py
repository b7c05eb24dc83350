"""Which runs start from which, as their records say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.status import run_folders, status_of


def run_of_model(path: Path) -> Run:
    """Return the run whose model's folder a record names as the start of another."""
    return Run(path.parent if path.name == "model" else path)


def start_of(record: Mapping[str, Any]) -> tuple[Path, str | None] | None:
    """Read where a run started from.

    Args:
        record: The record of the run, or what is known of one that is not finished.

    Returns:
        The path of the weights and their fingerprint; None if it started from the model's own weights.
    """
    start = record.get("start_from")
    if not isinstance(start, dict) or not isinstance(start.get("path"), str):
        return None
    fingerprint = start.get("fingerprint")
    return Path(start["path"]), fingerprint if isinstance(fingerprint, str) else None


def previous_run(run: Run, record: Mapping[str, Any]) -> Run | None:
    """Find the run that a run started from, beside it or where its record says.

    Args:
        run: The run.
        record: Its record.

    Returns:
        The run before; None if there was none, or it is not there any more.
    """
    start = start_of(record)
    if start is None:
        return None
    path, fingerprint = start
    beside = sorted(run.folder.absolute().parent.glob(f"*-{fingerprint}")) if fingerprint else []
    found = (run_of_model(path), *map(Run, beside))
    return next((before for before in found if before.is_finished and before.fingerprint == fingerprint), None)


def runs_that_start_from(run: Run) -> list[Path]:
    """List the runs of the same folder that start from a run, finished or not.

    A run that was set aside by another of the same fingerprint is the start of none.

    Args:
        run: The run.

    Returns:
        The folders of the runs that start from it.
    """
    found = []
    for folder in run_folders(run.folder.absolute().parent):
        start = start_of(status_of(Run(folder)).record)
        if start is not None and folder.name != run.folder.absolute().name:
            path, fingerprint = start
            if fingerprint == run.fingerprint or _is_same(run_of_model(path).folder, run.folder):
                found.append(folder)
    return found


def _is_same(path: Path, other: Path) -> bool:
    return path.exists() and path.samefile(other)
