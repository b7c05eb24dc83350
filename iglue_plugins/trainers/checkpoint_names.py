"""Where checkpoints are and how far they got; nothing here imports PyTorch, so that runs can be listed without it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from iglue_plugins.utils.strict_json import parse_json

CHECKPOINTS = "checkpoints"  # the folder of the checkpoints, below the one that training is given
FINISHED_CHECKPOINT = ".finished"  # a file written last into a checkpoint: the hash of its content


class Reached(NamedTuple):
    """How far a training got.

    Attributes:
        step: The optimizer step of the newest checkpoint.
        steps: The optimizer steps of the training; None if the checkpoint does not tell.
    """

    step: int
    steps: int | None

    def __str__(self) -> str:
        return f"step {self.step}" if self.steps is None else f"step {self.step} of {self.steps}"


def checkpoint_step(checkpoint: Path) -> int:
    """Return the optimizer step after which a checkpoint was saved.

    Args:
        checkpoint: The checkpoint's folder.
    """
    return int(checkpoint.name.rpartition("-")[2])


def reached_step(folder: Path) -> Reached | None:
    """Say how far a training got, by its newest checkpoint that was written to its end; its content is not checked.

    Args:
        folder: The folder of the checkpoints.

    Returns:
        The step; None if there is no checkpoint.
    """
    found = [path.parent for path in folder.glob(f"checkpoint-*/{FINISHED_CHECKPOINT}")]
    numbered = [path for path in found if path.name.rpartition("-")[2].isdecimal()]
    if not numbered:
        return None
    newest = max(numbered, key=checkpoint_step)
    try:
        state = parse_json((newest / "trainer_state.json").read_bytes())
    except (OSError, ValueError):  # that the checkpoint is damaged is for the training to say
        state = None
    steps = state.get("max_steps") if isinstance(state, dict) else None
    return Reached(checkpoint_step(newest), steps if isinstance(steps, int) else None)
