"""Runs that a launcher (torchrun, accelerate launch) starts in several processes."""

from __future__ import annotations

import os

import torch
from accelerate import PartialState

from iglue_plugins.errors import UserError
from iglue_plugins.progress import SILENT

WRAPPERS = {"ACCELERATE_USE_FSDP": "FSDP", "ACCELERATE_USE_DEEPSPEED": "DeepSpeed"}


def join() -> PartialState:
    """Join the other processes, if there are any; all but the main one are silent from here on.

    Raises:
        UserError: a launcher asks for FSDP or DeepSpeed.
    """
    for variable, name in WRAPPERS.items():
        if os.environ.get(variable, "").lower() in ("1", "true", "yes"):
            raise UserError(f"{variable}: found {os.environ[variable]}, expected plain data-parallel processes; a "
                            f"meta-step needs whole parameters on each process, which {name} takes apart")
    state = PartialState(cpu=not torch.cuda.is_available())  # without a GPU it joins the others only if told so
    if not state.is_main_process:
        os.environ[SILENT] = "1"
    return state


def check_alone(command: str) -> None:
    """Raise a UserError where a launcher has started several processes of a command that does not share its work."""
    if (count := int(os.environ.get("WORLD_SIZE", 1))) > 1:
        raise UserError(f"WORLD_SIZE: found {count} processes, expected one for {command}; run the recipes by iglue run under "
                        "the launcher first, or several of them at a time by --jobs")


def device() -> torch.device:
    return PartialState().device


def is_main() -> bool:
    return PartialState().is_main_process


def wait() -> None:
    PartialState().wait_for_everyone()
