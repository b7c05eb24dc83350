"""The scalars that a run has logged for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from iglue_plugins.utils.lines import say
from iglue_plugins.utils.text import printable

Scalars = dict[str, dict[int, float]]

FOLDER = "tensorboard"  # in a run's folder


def read_scalars(folder: Path) -> Scalars:
    """Read what a run has logged while it was trained.

    A run that was resumed may have logged a step twice, and its last word counts. An event file that cannot be read to
    its end is named on stderr, and not on a page, since its name has that of the host.

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
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.tensorflow_stub.errors import OpError, OutOfRangeError
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New

    found: list[tuple[int, str, float]] = []
    try:
        reader = PyRecordReader_New(str(path))  # which EventFileLoader reads with, but takes any damage for the end
        while True:
            reader.GetNext()
            event = Event.FromString(reader.record())
            for value in event.summary.value:
                if (number := _number(value)) is not None:
                    found.append((int(event.step), value.tag, number))
    except OutOfRangeError:  # the end of the file
        pass
    # In this order: a damaged record or a missing file; one that cannot be read; a record that is no event; a name that
    # is not UTF-8; a record that claims to be longer than memory.
    except (OpError, OSError, DecodeError, UnicodeError, MemoryError, OverflowError):
        sentence = "could not be read to its end; the learning curves lack what it has from there on"
        say(f"iglue: {printable(str(path))}: {sentence}")
    return found


def _number(value: Any) -> float | None:
    """Return the number of a summary's value; None if it is none, such as a text."""
    if value.WhichOneof("value") == "simple_value":
        return float(value.simple_value)
    numbers = value.tensor.float_val
    return float(numbers[0]) if len(numbers) == 1 else None
