"""Validation during training, which keeps the best weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypedDict

from safetensors import SafetensorError
from safetensors.torch import save
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from typing_extensions import override

from iglue_plugins.data.episodes import Steps
from iglue_plugins.models.adapters import stored_weights
from iglue_plugins.trainers.checkpoints import load_weights
from iglue_plugins.utils import distributed
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import write_atomic, write_json_atomic
from iglue_plugins.utils.progress import labelled


class Validation(TypedDict):
    """The optimizer step after which weights were scored, and their score (0 to 100)."""

    step: int
    score: float


def validation_interval(every: int | Literal["epoch"], steps: Steps, accumulation: int) -> int:
    """Return the number of optimizer steps between validations.

    Args:
        every: The setting `validate_every`.
        steps: The items of the training.
        accumulation: The number of items of an optimizer step.

    Returns:
        The number of optimizer steps.

    Raises:
        UserError: `every` is "epoch", and the training has no epochs.
    """
    if every != "epoch":
        return every
    if steps.epoch is None:
        raise UserError("trainer.validate_every: this trainer has no epochs; give a number of steps")
    return -(-steps.epoch // accumulation)


class BestWeights(TrainerCallback):
    """Validates every so many steps and at the end, and keeps the weights that score best on disk.

    A training that resumes from an earlier step meets the same weights and scores again, so nothing has to be undone.

    Args:
        objective: The module whose weights are kept.
        validate: Scores the weights as they are; higher is better.
        every: The number of optimizer steps between validations.
        folder: Where weights and score are kept.

    Attributes:
        best: The best validation so far, the first one of equals; None before any validation.
        last: The last validation of this process; None before any.
        log: What is called with each score.

    Raises:
        UserError: The folder holds a damaged score.
    """

    def __init__(self, objective: nn.Module, validate: Callable[[], float], every: int, folder: Path) -> None:
        self._objective, self._validate, self._every, self._folder = objective, validate, every, folder
        self._note = folder / "validation.json"
        self.last: Validation | None = None
        self.log: Callable[[float], None] = lambda score: None
        with self._explain_read_errors():
            self.best: Validation | None = json.loads(self._note.read_text()) if self._note.is_file() else None

    @override
    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Validate if it is time to, and keep the weights if they are better than those before."""
        if state.global_step % self._every and state.global_step != state.max_steps:
            return
        with labelled("validation"):
            score = self._validate()
        self.last = {"step": state.global_step, "score": score}
        self.log(score)
        if self.best is None or score > self.best["score"]:
            self.best = self.last
            if distributed.is_main_process():
                self._save_best(self.best)

    def _save_best(self, validation: Validation) -> None:
        """Write the weights and then their score, and remove the weights that were best before."""
        weights = self._weights_file(validation["step"])
        write_atomic(weights, save(stored_weights(self._objective)))
        write_json_atomic(self._note, dict(validation))
        for older in set(self._folder.glob("*.safetensors")) - {weights}:
            older.unlink()

    def restore(self) -> None:
        """Give the objective the best weights, in every process; there has been a validation.

        Raises:
            UserError: The weights on disk are missing or damaged.
        """
        distributed.barrier()
        assert self.best is not None
        with self._explain_read_errors():
            load_weights(self._objective, self._weights_file(self.best["step"]))

    @contextmanager
    def _explain_read_errors(self) -> Iterator[None]:
        """Turn an error about a missing or damaged file into a sentence."""
        try:
            yield
        except (OSError, ValueError, SafetensorError) as error:
            raise UserError(
                f"{self._folder}: the best weights so far cannot be read ({error}); delete {self._folder.parent} and "
                "run again"
            ) from error

    def _weights_file(self, step: int) -> Path:
        return self._folder / f"step-{step}.safetensors"
