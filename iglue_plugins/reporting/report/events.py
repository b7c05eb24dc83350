"""The scalars that a run has logged for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Scalars = dict[str, dict[int, float]]

FOLDER = "tensorboard"  # in a run's folder


def read_scalars(folder: Path) -> Scalars:
    """Read what a run has logged while it was trained.

    A run that was resumed may have logged a step twice, and its last word counts.

    Args:
        folder: The run's folder.

    Returns:
        By name, such as "train/loss", the value at each step. Nothing of a file that is no event file, or of its
        damaged rest.
    """
    scalars: Scalars = {}
    for path in sorted((folder / FOLDER).glob("*tfevents*")):
        for step, name, value in _values(path):
            scalars.setdefault(name, {})[step] = value
    return {name: dict(sorted(values.items())) for name, values in scalars.items()}


def _values(path: Path) -> list[tuple[int, str, float]]:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    found: list[tuple[int, str, float]] = []
    try:
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if (number := _number(value)) is not None:
                    found.append((int(event.step), value.tag, number))
    except Exception:  # TensorBoard's readers raise errors of many kinds; what came before the damage is kept
        pass
    return found


def _number(value: Any) -> float | None:
    """Return the number of a summary's value; None if it is none, such as a text."""
    if value.WhichOneof("value") == "simple_value":
        return float(value.simple_value)
    numbers = value.tensor.float_val
    return float(numbers[0]) if len(numbers) == 1 else None
