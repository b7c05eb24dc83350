"""The loop that runs any objective: transformers.Trainer on accelerate."""

from __future__ import annotations

import logging
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
import transformers
from accelerate import PartialState
from torch import nn
from torch.utils.data import DataLoader
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from typing_extensions import override

from iglue_plugins.data.episodes import Steps
from iglue_plugins.trainers.checkpoints import FinishedCheckpoints, resumed_checkpoint
from iglue_plugins.trainers.settings.base import TrainerSettings
from iglue_plugins.trainers.sharding import WEIGHT, AccumulationShard
from iglue_plugins.trainers.validation import BestWeights, Validation, validation_interval
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.progress import progress_bar
from iglue_plugins.utils.threads import threads_for


@contextmanager
def silence_tensorboard_thread_errors() -> Iterator[None]:
    """Keep TensorBoard's thread from printing an error that it also hands on to the main thread."""
    hook = threading.excepthook
    threading.excepthook = lambda failed: None if isinstance(failed.exc_value, OSError) else hook(failed)
    try:
        yield
    finally:
        threading.excepthook = hook


class ObjectiveTrainer(transformers.Trainer):
    """Minimizes `objective(**item)["loss"]` and logs the objective's other scalars by name.

    Args:
        settings: The settings of the trainer.
        schedule_steps: The optimizer step at which the learning rate would reach 0.
        kwargs: Arguments of transformers' Trainer.
    """

    def __init__(self, settings: TrainerSettings, schedule_steps: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._settings = settings
        self._schedule_steps = schedule_steps
        self.model_accepts_loss_kwargs = False  # the engine itself averages over accumulated items
        self._scalars: dict[str, list[torch.Tensor]] = defaultdict(list)

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """Make a schedule that may be longer than the training, as VOLTA's, which stretches over 20 epochs."""
        return super().create_scheduler(self._schedule_steps, optimizer)

    @override
    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        weight = inputs.pop(WEIGHT)
        scalars = model(**inputs)
        if not torch.isfinite(scalars["loss"]):
            raise self._diverged(f"a loss of {scalars['loss'].item()}")
        for name, value in scalars.items():
            if name != "loss":
                self._scalars[name].append(value.detach())
        return weight * scalars["loss"]

    def get_train_dataloader(self) -> DataLoader:
        """Make a loader of the items as they are: `AccumulationShard` has shared them between processes already."""
        assert isinstance(self.train_dataset, AccumulationShard)
        return DataLoader(
            self.train_dataset, collate_fn=lambda items: items[0], pin_memory=self.args.dataloader_pin_memory
        )

    def check_weights(self) -> None:
        """Check what the last step has left; losses are checked before their step is taken.

        Raises:
            UserError: A weight is not finite.
        """
        assert self.model is not None
        if not all(parameter.isfinite().all() for parameter in self.model.parameters()):
            raise self._diverged("weights that are not finite")

    def _diverged(self, what: str) -> UserError:
        settings = self._settings
        inner_lr = getattr(settings, "inner_lr", 0)  # trainers with an inner loop have one
        inner = f"trainer.inner_lr ({inner_lr}) or " if inner_lr else ""
        step = min(self.state.global_step + 1, self.state.max_steps)
        return UserError(
            f"training diverged at step {step} with {what}; lower {inner}trainer.learning_rate "
            f"({settings.learning_rate})"
        )

    @override
    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        means = {name: torch.stack(values).mean().item() for name, values in self._scalars.items()}
        self._scalars.clear()
        super().log({**logs, **means}, start_time)


@runtime_checkable
class LearnsNumbers(Protocol):
    """An objective that trains numbers beside the model's weights."""

    def learned(self) -> dict[str, float]:
        """Return the numbers by name."""


@runtime_checkable
class LogsOnSomeSteps(Protocol):
    """An objective that spares the work for scalars which are only logged."""

    is_logging: bool


class Progress(TrainerCallback):
    """Shows a progress bar where standard error is a terminal, and tells the objective which steps are logged.

    Args:
        objective: The module that is minimized.
    """

    def __init__(self, objective: nn.Module) -> None:
        self._objective = objective

    @override
    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._bar = progress_bar(total=state.max_steps, initial=state.global_step, unit="step")

    @override
    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if isinstance(self._objective, LogsOnSomeSteps):
            self._objective.is_logging = (state.global_step + 1) % args.logging_steps == 0

    @override
    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._bar.update()

    @override
    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        if logs and "loss" in logs:
            self._bar.set_postfix(loss=f"{logs['loss']:.3f}")

    @override
    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._bar.close()


def arguments(
    settings: TrainerSettings, steps: int, schedule_steps: int, accumulation: int, seed: int, folder: Path
) -> TrainingArguments:
    """Make the arguments of transformers' Trainer.

    Args:
        settings: The settings of the trainer.
        steps: The number of optimizer steps.
        schedule_steps: The optimizer step at which the learning rate would reach 0.
        accumulation: The number of items of an optimizer step that this process sees.
        seed: The run's seed.
        folder: Where checkpoints go.

    Returns:
        The arguments.
    """
    bf16 = settings.precision == "bfloat16" or (
        settings.precision == "auto" and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    )
    training_arguments = TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        max_steps=steps,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=accumulation,
        learning_rate=settings.learning_rate,
        warmup_steps=round(settings.warmup * schedule_steps),
        lr_scheduler_type="linear",
        weight_decay=settings.weight_decay,
        adam_epsilon=1e-6,
        max_grad_norm=settings.clip_norm,
        optim="adamw_torch_fused",
        bf16=bf16,
        use_cpu=not torch.cuda.is_available(),
        seed=seed,
        logging_steps=settings.log_every,
        save_steps=settings.save_every,
        save_total_limit=2,
        remove_unused_columns=False,
        label_names=[],
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
        report_to=["tensorboard"],
        logging_nan_inf_filter=False,
        ddp_find_unused_parameters=True,  # a loss may leave a head unused
    )
    # With several GPUs in one process transformers would use torch's DataParallel, which splits an item.
    training_arguments._n_gpu = min(training_arguments.n_gpu, 1)
    return training_arguments


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


def train(
    objective: nn.Module,
    steps: Steps,
    settings: TrainerSettings,
    *,
    seed: int,
    folder: Path,
    validate: Callable[[], float] | None = None,
) -> Training:
    """Minimize an objective.

    Args:
        objective: The module; `Trainer.objective` says what it returns.
        steps: The items of the training.
        settings: The settings of the trainer.
        seed: The run's seed.
        folder: Where checkpoints and logs go. Training resumes from what an earlier call has left there.
        validate: Scores the weights as they are, higher is better; it is called as `settings.validate_every` says, and
            the objective is left with the weights that score best (the first of equals).

    Returns:
        What the run's record says of the training.

    Raises:
        UserError: A loss or a trained weight is not finite, or a checkpoint cannot be read or written.
    """
    logging.getLogger("transformers.trainer").setLevel(logging.WARNING)
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder / "tensorboard")
    state = PartialState()
    shard = AccumulationShard(steps, settings.accumulation, state.process_index, state.num_processes)
    schedule = -(-steps.schedule // settings.accumulation)
    best_weights = None
    if validate and settings.validate_every is not None:
        every = validation_interval(settings.validate_every, steps, settings.accumulation)
        best_weights = BestWeights(objective, validate, every, folder / "checkpoints" / "best")
    trainer = ObjectiveTrainer(
        settings,
        schedule,
        model=objective,
        args=arguments(settings, shard.step_count, schedule, shard.per_step, seed, folder),
        train_dataset=shard,
        callbacks=[Progress(objective), *([best_weights] if best_weights else []), FinishedCheckpoints()],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    if state.process_index:
        # transformers seeds all processes alike, and their dropout has to differ.
        torch.manual_seed(seed + state.process_index)
    checkpoint = resumed_checkpoint(folder / "checkpoints")
    with threads_for(objective), silence_tensorboard_thread_errors():
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        trainer.check_weights()
        if best_weights:
            best_weights.restore()
    learned = objective.learned() if isinstance(objective, LearnsNumbers) else {}
    return Training(shard.step_count, best_weights.best if best_weights else None, learned)
