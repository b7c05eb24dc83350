"""Checkpoints from which an interrupted training resumes, and how a whole one is told from a damaged one."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from safetensors.torch import load_file
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from typing_extensions import override

from iglue_plugins.models.adapters import stored_weights
from iglue_plugins.trainers.checkpoint_names import FINISHED_CHECKPOINT, checkpoint_step
from iglue_plugins.utils import distributed
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import content_hash, sync_folder, write_atomic
from iglue_plugins.utils.lines import say
from iglue_plugins.utils.termination import DeferredTermination

SHARE_OF_TIME = 0.05  # how much of the training's time writing checkpoints may take


class Checkpoints(TrainerCallback):
    """Saves checkpoints by time, and marks each as finished once all of it is on disk.

    It has to stand behind callbacks that take long, so that a checkpoint's duration is that of writing it.

    Args:
        minutes: The least minutes between checkpoints, which are more where writing one takes longer than
            `SHARE_OF_TIME` of them; None: only the checkpoints that the arguments ask for by `save_steps`.
        termination: Says whether the process is to end; it does after a checkpoint of the step that is under way.
        clock: Returns seconds.
    """

    def __init__(
        self,
        minutes: float | None,
        termination: DeferredTermination | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._minutes, self._termination, self._clock = minutes, termination, clock
        self._last_end = self._start = clock()
        self._duration = 0.0

    @override
    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._last_end = self._clock()

    @override
    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Ask for a checkpoint if it is time for one, by the main process's clock."""
        self._start = self._clock()
        if (self._minutes is not None and self._agree(self._is_due())) or self._is_ending:
            control.should_save = True

    @override
    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        distributed.barrier()
        if distributed.is_main_process():
            mark_finished(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}")
        self._last_end = self._clock()
        self._duration = self._last_end - self._start
        if self._is_ending:
            control.should_training_stop = True
            say(f"stopped by SIGTERM after step {state.global_step} of {state.max_steps}; the same command resumes")

    @property
    def _is_ending(self) -> bool:
        return self._termination is not None and self._termination.is_requested

    def _is_due(self) -> bool:
        assert self._minutes is not None
        return self._start - self._last_end >= max(60 * self._minutes, self._duration / SHARE_OF_TIME)

    @staticmethod
    def _agree(is_due: bool) -> bool:
        """Return what the main process says; a process that is alone asks no one."""
        if distributed.process_state().num_processes == 1:
            return is_due
        flag = torch.tensor(float(is_due and distributed.is_main_process()), device=distributed.device())
        return bool(distributed.all_reduce_sum(flag))


def load_weights(module: nn.Module, file: Path) -> None:
    """Load what `stored_weights` returned into a module; tied weights stay tied, and frozen ones as they are.

    Args:
        module: The module.
        file: A safetensors file.

    Raises:
        UserError: The file has other weights than the module.
    """
    found = load_file(file)
    expected = stored_weights(module)
    differing = sorted(found.keys() ^ expected.keys())
    differing += [name for name in found.keys() & expected.keys() if found[name].shape != expected[name].shape]
    if differing:
        raise UserError(
            f"{file}: its weights are not those of the training ({', '.join(differing[:3])}), as after a change of a "
            f"plugin; delete {file.parents[1]} and run again"
        )
    module.load_state_dict(found, strict=False)


def mark_finished(checkpoint: Path) -> None:
    """Write the hash of a checkpoint's content into it, after the content is on the disk.

    Args:
        checkpoint: The checkpoint's folder.
    """
    sync_folder(checkpoint)
    write_atomic(checkpoint / FINISHED_CHECKPOINT, content_hash(checkpoint).encode())


def last_checkpoint(folder: Path, tell: Callable[[str], None] = say) -> Path | None:
    """Find the newest whole checkpoint, and remove newer ones, which are half-written or damaged.

    transformers would count damaged ones among the checkpoints that it keeps. One process calls this.

    Args:
        folder: The folder of the checkpoints.
        tell: Takes a line about each checkpoint that is removed.

    Returns:
        The checkpoint's folder, or None if there is none.
    """
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=checkpoint_step, reverse=True):
        marker = checkpoint / FINISHED_CHECKPOINT
        if marker.is_file() and marker.read_text() == content_hash(checkpoint):
            return checkpoint
        tell(f"{checkpoint}: half-written or damaged, so training resumes before it")
        shutil.rmtree(checkpoint)
    return None


def resumed_checkpoint(folder: Path) -> Path | None:
    """Find the checkpoint that all processes resume from; the main process looks for it.

    Args:
        folder: The folder of the checkpoints.

    Returns:
        The checkpoint's folder, or None if there is none.
    """
    found = [str(last_checkpoint(folder) or "")] if distributed.is_main_process() else [""]
    broadcast_object_list(found)
    return Path(found[0]) if found[0] else None
