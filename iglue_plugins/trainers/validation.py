"""Validation during training, which keeps the best weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn
from transformers import TrainerCallback

from iglue_plugins.data.episodes import Steps
from iglue_plugins.utils import distributed
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import write_atomic, write_json_atomic


def validation_interval(every: int | str, steps: Steps, accumulation: int) -> int:
    """Optimiser steps between validations, from a setting `validate_every`."""
    if every != "epoch":
        return every
    if steps.epoch is None:
        raise UserError(
            "trainer.validate_every: found 'epoch', expected a number of steps for this trainer, which has no epochs"
        )
    return -(-steps.epoch // accumulation)


class BestWeights(TrainerCallback):
    """Validates every so many steps and at the end, and keeps the weights that score best, and their score, on disk.

    Resuming from an earlier step meets the same weights and scores again, so nothing has to be taken back.
    """

    def __init__(self, objective: nn.Module, validate: Callable[[], float], every: int, folder: Path) -> None:
        self._objective, self._validate, self._every, self._folder = objective, validate, every, folder
        self._note = folder / "validation.json"
        with self._undamaged():
            self.found = json.loads(self._note.read_text()) if self._note.is_file() else None

    def on_step_end(self, args, state, control, **_):
        if state.global_step % self._every and state.global_step != state.max_steps:
            return
        score = self._validate()
        if self.found is None or score > self.found["score"]:
            self.found = {"step": state.global_step, "score": score}
            if distributed.is_main_process():
                self._keep(state.global_step)

    def _keep(self, step: int) -> None:
        write_atomic(self._weights(step), save(_unshared(self._objective)))
        write_json_atomic(self._note, self.found)
        for older in set(self._folder.glob("*.safetensors")) - {self._weights(step)}:
            older.unlink()

    def restore(self) -> None:
        """Give the objective the best weights."""
        distributed.barrier()
        with self._undamaged():
            weights = load_file(self._weights(self.found["step"]))
        self._objective.load_state_dict(weights, strict=False)

    @contextmanager
    def _undamaged(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, SafetensorError) as error:
            raise UserError(
                f"{self._folder}: found {error}, expected the best weights so far; delete "
                f"{self._folder.parent} and run again"
            ) from error

    def _weights(self, step: int) -> Path:
        return self._folder / f"step-{step}.safetensors"


def _unshared(module: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers, each once, though a module may have it under several names."""
    return dict(module.named_parameters()) | dict(module.named_buffers())
