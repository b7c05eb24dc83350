"""The items of a step, shared between the processes that train."""

from __future__ import annotations

from typing import Any

from torch.utils.data import Dataset

from iglue_plugins.data.episodes import Steps
from iglue_plugins.utils.errors import UserError

WEIGHT = "item_weight"


class AccumulationShard(Dataset):
    """What one process of `processes` sees of the steps, `accumulation` items of which make an optimiser step.

    Each item carries the weight of its loss that makes the mean over a process's items, averaged over the processes,
    the mean over all items of the step, whatever the number of processes, also of a last step with fewer items. Where
    a process has no item left, it sees one of the step's again with weight 0.

    Raises:
        UserError: there are more processes than items in a step.
    """

    def __init__(self, steps: Steps, accumulation: int, process: int = 0, processes: int = 1) -> None:
        if accumulation < processes:
            raise UserError(
                f"trainer.accumulation: found {accumulation} for {processes} processes, expected at least "
                f"{processes}; the processes share a step's batches or episodes, so that {processes} times "
                f"the accumulation at 1/{processes} of the batch size uses all of them"
            )
        self._steps, self._accumulation = steps, accumulation
        self._process, self._processes = process, processes
        self.per_step = -(-accumulation // processes)
        self.step_count = -(-len(steps) // accumulation)

    def __len__(self) -> int:
        return self.step_count * self.per_step

    def __getitem__(self, position: int) -> dict[str, Any]:
        step, turn = divmod(position, self.per_step)
        first = step * self._accumulation
        count = min(self._accumulation, len(self._steps) - first)
        place = turn * self._processes + self._process
        weight = self._processes * self.per_step / count if place < count else 0.0
        return {WEIGHT: weight, **self._steps[first + (place if place < count else 0)]}
