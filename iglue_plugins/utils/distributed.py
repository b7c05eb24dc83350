"""Processes that a launcher (torchrun, accelerate launch) starts to work on one run.

torch and accelerate are imported where they are used, so that a command which computes nothing starts without them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.progress import DISABLE_BARS

if TYPE_CHECKING:
    import torch
    from accelerate import PartialState
    from torch import Tensor

T = TypeVar("T")

WRAPPERS = {"ACCELERATE_USE_FSDP": "FSDP", "ACCELERATE_USE_DEEPSPEED": "DeepSpeed"}


def init_distributed() -> PartialState:
    """Connect to the other processes of the run, if there are any, and silence the bars of all but the main one.

    Returns:
        The state of accelerate: this process's index, the number of processes and the device.

    Raises:
        UserError: The launcher asks for FSDP or DeepSpeed, which split parameters between processes.
    """
    for variable, name in WRAPPERS.items():
        if os.environ.get(variable, "").lower() in ("1", "true", "yes"):
            raise UserError(
                f"{variable} is {os.environ[variable]}, but a meta-step needs whole parameters in each process, which "
                f"{name} splits; launch plain data-parallel processes"
            )
    state = process_state()
    if not state.is_main_process:
        os.environ[DISABLE_BARS] = "1"
    return state


def require_single_process(command: str) -> None:
    """Refuse a command that cannot share its work if a launcher has started it in several processes.

    Args:
        command: The command as the user typed it, for the error.

    Raises:
        UserError: WORLD_SIZE is above 1.
    """
    if (count := int(os.environ.get("WORLD_SIZE", 1))) > 1:
        raise UserError(
            f"WORLD_SIZE is {count}, but {command} runs in one process; run the recipes by `iglue run` under the "
            "launcher first, or several at a time by --jobs"
        )


def process_state() -> PartialState:
    """Return accelerate's state; without a GPU, processes find each other only if the CPU is asked for."""
    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())


def device() -> torch.device:
    """Return the device that this process computes on."""
    return process_state().device


def is_main_process() -> bool:
    """Say whether this is the process that writes files and prints."""
    return process_state().is_main_process


def barrier() -> None:
    """Wait until all processes have come here."""
    process_state().wait_for_everyone()


def repeat_in_main_process(attempt: Callable[[], bool]) -> None:
    """Call a function in the main process until it returns True; the others hear of each call, so that none times out.

    Args:
        attempt: The function. Each call must end well before the processes' timeout (10 minutes at least by default).

    Raises:
        UserError: The function raised it; it is raised in all processes.
    """
    done, error = False, None
    while not done:
        if is_main_process():
            try:
                done = attempt()
            except UserError as raised:
                done, error = True, raised
        done, error = _from_main_process((done, error))
    if error is not None:
        raise error


def _from_main_process(value: T) -> T:
    """Return the value that the main process has."""
    from accelerate.utils import broadcast_object_list

    (sent,) = broadcast_object_list([value])
    return sent


def shard(items: Sequence[T]) -> Sequence[T]:
    """Return the items that this process works on: every n-th of them, where there are n processes.

    Args:
        items: All items, the same in every process.
    """
    state = process_state()
    return items[state.process_index :: state.num_processes]


def all_reduce_sum(values: Tensor) -> Tensor:
    """Add up a tensor over all processes.

    Args:
        values: A tensor of the same shape in every process, zero where another process has the result.

    Returns:
        The sum, on the CPU.
    """
    from accelerate.utils import reduce

    return reduce(values, "sum").cpu()
