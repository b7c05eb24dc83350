"""The items of an optimizer step, shared between the processes that train."""

from __future__ import annotations

from typing import Any

from torch.utils.data import Dataset

from iglue_plugins.data.episodes import Steps
from iglue_plugins.utils.errors import UserError

WEIGHT = "item_weight"


class AccumulationShard(Dataset):
    """The items of a training that one process sees.

    Each item carries a weight for its loss. With it, the mean over a process's items, averaged over the processes, is
    the mean over all items of the optimizer step, whatever the number of processes, also in a last step with fewer
    items. A process that has no item left in a step sees one of the step's items again with weight 0.

    Args:
        steps: All items; `accumulation` of them make an optimizer step.
        accumulation: The number of items of an optimizer step.
        process: The number of this process, from 0.
        processes: The number of processes.

    Raises:
        UserError: There are more processes than items in a step.
    """

    def __init__(self, steps: Steps, accumulation: int, process: int = 0, processes: int = 1) -> None:
        if accumulation < processes:
            raise UserError(
                f"trainer.accumulation: it is {accumulation}, but {processes} processes share the batches or episodes "
                f"of a step; raise it to {processes} or more, at 1/{processes} of the batch size for the same step"
            )
        self._steps, self._accumulation = steps, accumulation
        self._process, self._processes = process, processes
        self.per_step = -(-accumulation // processes)
        self.step_count = -(-len(steps) // accumulation)

    def __len__(self) -> int:
        return self.step_count * self.per_step

    def __getitem__(self, position: int) -> dict[str, Any]:
        """Return one of this process's items, keyword arguments of the objective, with its weight under `WEIGHT`."""
        step, turn = divmod(position, self.per_step)
        first = step * self._accumulation
        count = min(self._accumulation, len(self._steps) - first)
        place = turn * self._processes + self._process
        weight = self._processes * self.per_step / count if place < count else 0.0
        return {WEIGHT: weight, **self._steps[first + (place if place < count else 0)]}
