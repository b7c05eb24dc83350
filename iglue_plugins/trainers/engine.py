"""The loop that runs any objective: transformers.Trainer on accelerate."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
import transformers
from accelerate import PartialState
from torch import nn

from iglue_plugins.data.episodes import Steps
from iglue_plugins.trainers.arguments import training_arguments
from iglue_plugins.trainers.checkpoint_names import CHECKPOINTS, checkpoint_step
from iglue_plugins.trainers.checkpoints import Checkpoints, resumed_checkpoint
from iglue_plugins.trainers.objective_trainer import ObjectiveTrainer
from iglue_plugins.trainers.progress import Progress
from iglue_plugins.trainers.settings.base import TrainerSettings
from iglue_plugins.trainers.sharding import AccumulationShard
from iglue_plugins.trainers.tracking import begin_run, finish_run, silence_tensorboard_thread_errors
from iglue_plugins.trainers.validation import BestWeights, Validation, validation_interval
from iglue_plugins.utils.memory import keep_memory
from iglue_plugins.utils.progress import print_line, start_is_said
from iglue_plugins.utils.termination import DeferredTermination
from iglue_plugins.utils.threads import threads_for


@runtime_checkable
class LearnsNumbers(Protocol):
    """An objective that trains numbers beside the model's weights."""

    def learned(self) -> dict[str, float]:
        """Return the numbers by name."""


@dataclass(frozen=True)
class Training:
    """What a run's record says of a training.

    Attributes:
        steps: The number of optimizer steps.
        best: The validation that chose the weights; None without validation.
        learned: Numbers that were trained beside the weights, by name.
    """

    steps: int
    best: Validation | None
    learned: dict[str, float]


def _best_weights(
    objective: nn.Module, steps: Steps, settings: TrainerSettings, folder: Path, validate: Callable[[], float] | None
) -> BestWeights | None:
    """Make the callback that validates and keeps the best weights; None without validation."""
    if validate is None or settings.validate_every is None:
        return None
    every = validation_interval(settings.validate_every, steps, settings.accumulation)
    return BestWeights(objective, validate, every, folder / CHECKPOINTS / "best")


def _prepare_process(folder: Path) -> PartialState:
    """Tell the libraries where logs go, how much to say and what to keep, and return the state of the processes."""
    keep_memory()
    logging.getLogger("transformers.trainer").setLevel(logging.WARNING)
    begin_run(folder)
    return PartialState()


def _find_checkpoint(folder: Path, step_count: int) -> Path | None:
    """Find the checkpoint to resume from, and say so, unless who calls has said it before."""
    checkpoint = resumed_checkpoint(folder / CHECKPOINTS)
    if checkpoint and PartialState().is_main_process and not start_is_said():
        print_line(f"resumed at step {checkpoint_step(checkpoint)} of {step_count}")
    return checkpoint


def train(
    objective: nn.Module,
    steps: Steps,
    settings: TrainerSettings,
    *,
    seed: int,
    folder: Path,
    validate: Callable[[], float] | None = None,
    workers: int = 0,
    uses_thread: bool = False,
) -> Training:
    """Minimize an objective.

    Args:
        objective: The module; `Trainer.objective` says what it returns.
        steps: The items of the training.
        settings: The settings of the trainer.
        seed: The run's seed.
        folder: Where checkpoints and logs go; training resumes from what an earlier call has left there.
        validate: Scores the weights as they are, higher is better; it is called as `settings.validate_every` says, and
            the objective is left with the weights that score best (the first of equals).
        workers: The number of processes that make items ahead.
        uses_thread: Whether a thread makes items ahead where no process does.

    Returns:
        What the run's record says of the training.

    Raises:
        UserError: A loss or a trained weight is not finite, a checkpoint cannot be read or written, or the optimizer,
            the schedule or a tracker cannot be used.
    """
    state = _prepare_process(folder)
    shard = AccumulationShard(steps, settings.accumulation, state.process_index, state.num_processes)
    schedule = -(-steps.schedule // settings.accumulation)
    best_weights = _best_weights(objective, steps, settings, folder, validate)
    # In several processes the launcher ends all when one has failed, and they would wait for it in a step without end.
    termination = DeferredTermination() if state.num_processes == 1 else None
    checkpoints = Checkpoints(settings.save_minutes if settings.save_every is None else None, termination)
    # It asks the trainer, which is made below, once training has begun.
    progress = Progress(objective, best_weights, lambda: trainer.examples_seen, state.num_processes)
    trainer = ObjectiveTrainer(
        settings,
        schedule,
        workers,
        uses_thread,
        model=objective,
        args=training_arguments(settings, shard.step_count, schedule, shard.per_step, seed, folder),
        train_dataset=shard,
        callbacks=[*([best_weights] if best_weights else []), progress, checkpoints],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    if best_weights:
        best_weights.log = trainer.log_score
    _seed_dropout(seed, state.process_index)
    with threads_for(objective), silence_tensorboard_thread_errors():
        _run_trainer(trainer, _find_checkpoint(folder, shard.step_count), termination)
    if best_weights:
        best_weights.restore()
    learned = objective.learned() if isinstance(objective, LearnsNumbers) else {}
    return Training(shard.step_count, best_weights.best if best_weights else None, learned)


def _seed_dropout(seed: int, process_index: int) -> None:
    """Seed each process but the first anew: transformers seeds all alike, and their dropout has to differ."""
    if process_index:
        torch.manual_seed(seed + process_index)


def _run_trainer(trainer: ObjectiveTrainer, checkpoint: Path | None, termination: DeferredTermination | None) -> None:
    """Train to the end, from a checkpoint if there is one, and check the weights."""
    with termination or nullcontext(), redirect_stdout(sys.stderr):  # trackers print
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    finish_run()
    trainer.check_weights()
