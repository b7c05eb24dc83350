"""The loop that runs any objective: transformers.Trainer on accelerate."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch import nn
from torch.utils.data import DataLoader
from transformers import TrainerCallback, TrainingArguments

from iglue_plugins.data.episodes import Steps
from iglue_plugins.trainers.settings.base import TrainerSettings
from iglue_plugins.trainers.sharding import WEIGHT, AccumulationShard
from iglue_plugins.trainers.validation import BestWeights, validation_interval
from iglue_plugins.utils import distributed
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import content_hash, sync_folder, write_atomic
from iglue_plugins.utils.progress import progress_bar
from iglue_plugins.utils.threads import threads_for

FINISHED_CHECKPOINT = ".finished"  # a file written last into a checkpoint: the hash of its content


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
    """Minimises objective(**item)['loss'] and logs the objective's other scalars by name."""

    def __init__(self, settings: TrainerSettings, schedule_steps: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._settings = settings
        self._schedule_steps = schedule_steps
        self.model_accepts_loss_kwargs = False  # the engine itself averages over accumulated items
        self._scalars: dict[str, list[float]] = defaultdict(list)

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """The schedule may be longer than the training (VOLTA stretches it over 20 epochs)."""
        return super().create_scheduler(self._schedule_steps, optimizer)

    def compute_loss(self, model: nn.Module, inputs: dict, return_outputs: bool = False, **_: Any) -> torch.Tensor:
        weight = inputs.pop(WEIGHT)
        scalars = model(**inputs)
        if not torch.isfinite(scalars["loss"]):
            raise self._diverged(f"a loss of {scalars['loss'].item()}")
        for name, value in scalars.items():
            if name != "loss":
                self._scalars[name].append(value.detach())
        return weight * scalars["loss"]

    def get_train_dataloader(self) -> DataLoader:
        """Without accelerate's sharding, since `AccumulationShard` has done that, and without its copies of items at the end."""
        return DataLoader(
            self.train_dataset, collate_fn=lambda items: items[0], pin_memory=self.args.dataloader_pin_memory
        )

    def check_weights(self) -> None:
        """A loss is checked before its step is taken; this checks what the last step left."""
        if not all(parameter.isfinite().all() for parameter in self.model.parameters()):
            raise self._diverged("weights that are not finite")

    def _diverged(self, found: str) -> UserError:
        settings = self._settings
        inner = f"trainer.inner_lr ({settings.inner_lr}) or " if getattr(settings, "inner_lr", 0) else ""
        step = min(self.state.global_step + 1, self.state.max_steps)
        return UserError(
            f"training diverged at step {step}: found {found}, expected finite numbers; "
            f"lower {inner}trainer.learning_rate ({settings.learning_rate})"
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        means = {name: torch.stack(values).mean().item() for name, values in self._scalars.items()}
        self._scalars.clear()
        super().log({**logs, **means}, start_time)


class Progress(TrainerCallback):
    """A progress bar on standard error, if that is a terminal; tells the objective which steps are logged."""

    def __init__(self, objective: nn.Module) -> None:
        self._objective = objective

    def on_train_begin(self, args, state, control, **_):
        self._bar = progress_bar(total=state.max_steps, initial=state.global_step, unit="step")

    def on_step_begin(self, args, state, control, **_):
        self._objective.is_logging = (state.global_step + 1) % args.logging_steps == 0

    def on_step_end(self, args, state, control, **_):
        self._bar.update()

    def on_log(self, args, state, control, logs=None, **_):
        if "loss" in (logs or {}):
            self._bar.set_postfix(loss=f"{logs['loss']:.3f}")

    def on_train_end(self, args, state, control, **_):
        self._bar.close()


class FinishedCheckpoints(TrainerCallback):
    """Marks a checkpoint once all of it is on disk."""

    def on_save(self, args, state, control, **_):
        distributed.barrier()
        if distributed.is_main_process():
            mark_finished(Path(args.output_dir) / f"checkpoint-{state.global_step}")


def mark_finished(checkpoint: Path) -> None:
    sync_folder(checkpoint)
    write_atomic(checkpoint / FINISHED_CHECKPOINT, content_hash(checkpoint).encode())


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that is as it was finished; those after it, half-written or damaged since, are removed.

    For one process. transformers would count what is left there among the checkpoints that it keeps.
    """
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.rpartition("-")[2])):
        marker = checkpoint / FINISHED_CHECKPOINT
        if marker.is_file() and marker.read_text() == content_hash(checkpoint):
            return checkpoint
        print(f"{checkpoint}: half-written or damaged, so training resumes before it", file=sys.stderr)
        shutil.rmtree(checkpoint)
    return None


def resumed_checkpoint(folder: Path) -> Path | None:
    """The last checkpoint of all processes, which the main one looks for."""
    found = [str(last_checkpoint(folder) or "")] if distributed.is_main_process() else [""]
    broadcast_object_list(found)
    return Path(found[0]) if found[0] else None


def arguments(
    settings: TrainerSettings, steps: int, schedule_steps: int, accumulation: int, seed: int, folder: Path
) -> TrainingArguments:
    """accumulation: of this process."""
    bf16 = settings.precision == "bfloat16" or (
        settings.precision == "auto" and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    )
    made = TrainingArguments(
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
        ddp_find_unused_parameters=True,  # of other heads, say
    )
    made._n_gpu = min(made.n_gpu, 1)  # torch's DataParallel would cut an item into pieces
    return made


@dataclass(frozen=True)
class Training:
    """What came of it: optimiser steps, the best validation ('step', 'score') where there was one, and what the objective
    has learned beside the weights."""

    steps: int
    best: dict[str, float] | None
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
    """Minimise the objective over the steps; resumes from `folder` if an earlier call was cut short.

    validate: the score of the weights as they are, asked for as settings.validate_every says; the weights that score
    best are the ones that the objective is left with (the first of equals).

    Raises:
        UserError: the loss or the trained weights are not finite; the sentence says which setting to lower.
    """
    logging.getLogger("transformers.trainer").setLevel(logging.WARNING)
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder / "tensorboard")
    state = PartialState()
    share = AccumulationShard(steps, settings.accumulation, state.process_index, state.num_processes)
    schedule = -(-steps.schedule // settings.accumulation)
    best = None
    if validate:
        every = validation_interval(settings.validate_every, steps, settings.accumulation)
        best = BestWeights(objective, validate, every, folder / "checkpoints" / "best")
    trainer = ObjectiveTrainer(
        settings,
        schedule,
        model=objective,
        args=arguments(settings, share.step_count, schedule, share.per_step, seed, folder),
        train_dataset=share,
        callbacks=[Progress(objective), *([best] if best else []), FinishedCheckpoints()],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    if state.process_index:
        torch.manual_seed(seed + state.process_index)  # dropout of its own; transformers gives all the same seed
    checkpoint = resumed_checkpoint(folder / "checkpoints")
    with threads_for(objective), silence_tensorboard_thread_errors():
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        trainer.check_weights()
        if best:
            best.restore()
    learned = objective.learned() if hasattr(objective, "learned") else {}
    return Training(share.step_count, best.found if best else None, learned)
