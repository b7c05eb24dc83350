"""Checkpoints from which an interrupted training resumes, and how a whole one is told from a damaged one."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from typing_extensions import override

from iglue_plugins.models.tied_weights import tied_names
from iglue_plugins.utils import distributed
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import content_hash, sync_folder, write_atomic

FINISHED_CHECKPOINT = ".finished"  # a file written last into a checkpoint: the hash of its content


class FinishedCheckpoints(TrainerCallback):
    """Marks a checkpoint as finished once all of it is on disk."""

    @override
    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        distributed.barrier()
        if distributed.is_main_process():
            mark_finished(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}")


def stored_weights(module: nn.Module) -> dict[str, Tensor]:
    """Return what a file of a module's weights holds: its state, with tied weights under their first name only.

    Args:
        module: The module.

    Returns:
        Contiguous tensors by name, none of which shares memory with another, as safetensors asks for.
    """
    tied = tied_names(module)
    return {name: value.contiguous() for name, value in module.state_dict().items() if name not in tied}


def load_weights(module: nn.Module, file: Path) -> None:
    """Load what `stored_weights` returned into a module; tied weights stay tied.

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


def last_checkpoint(folder: Path) -> Path | None:
    """Find the newest whole checkpoint, and remove newer ones, which are half-written or damaged.

    transformers would count damaged ones among the checkpoints that it keeps. One process calls this.

    Args:
        folder: The folder of the checkpoints.

    Returns:
        The checkpoint's folder, or None if there is none.
    """
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.rpartition("-")[2])):
        marker = checkpoint / FINISHED_CHECKPOINT
        if marker.is_file() and marker.read_text() == content_hash(checkpoint):
            return checkpoint
        print(f"{checkpoint}: half-written or damaged, so training resumes before it", file=sys.stderr)
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
