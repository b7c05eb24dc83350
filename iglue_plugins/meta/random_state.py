"""The state of the random generators, from which the same dropout can be drawn again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from iglue_plugins.meta.gradients import Parameters


class RngSnapshot:
    """The state of the random generators at the time that it is made.

    Args:
        parameters: Tensors on all devices that are computed on.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._devices = {value.device for value in parameters.values() if value.is_cuda}
        self._states = {device: torch.cuda.get_rng_state(device) for device in self._devices}
        self._state = torch.get_rng_state()

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Draw from the saved state inside the block; the generators are afterwards as they were before it."""
        with torch.random.fork_rng(self._devices):
            torch.set_rng_state(self._state)
            for device, state in self._states.items():
                torch.cuda.set_rng_state(state, device)
            yield
