"""transformers.Trainer for objectives: modules that return their own loss."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from torch.utils.data import DataLoader
from transformers.utils import SAFE_WEIGHTS_NAME
from typing_extensions import override

from iglue_plugins.data.batching import Batch
from iglue_plugins.data.loading import checked, loader
from iglue_plugins.data.thread_loading import ThreadedItems
from iglue_plugins.models.adapters import stored_weights
from iglue_plugins.trainers.checkpoints import load_weights
from iglue_plugins.trainers.progress import count_examples
from iglue_plugins.trainers.settings.base import TrainerSettings
from iglue_plugins.trainers.sharding import WEIGHT, AccumulationShard
from iglue_plugins.trainers.tracking import MEANINGLESS
from iglue_plugins.utils.errors import UserError, did_you_mean, first_line

HAVE_SETTINGS = {"lr", "weight_decay", "betas", "eps", "params"}  # arguments of optimizers with a setting of their own


class ObjectiveTrainer(transformers.Trainer):
    """Minimizes `objective(**item)["loss"]` and logs the objective's other scalars by name.

    Args:
        settings: The settings of the trainer.
        schedule_steps: The number of optimizer steps that the schedule of the learning rate spans.
        workers: The number of processes that make items ahead.
        uses_thread: Whether a thread makes items ahead where no process does.
        kwargs: Arguments of transformers' Trainer.

    Attributes:
        examples_seen: The number of examples that this process has computed losses of.
    """

    def __init__(
        self, settings: TrainerSettings, schedule_steps: int, workers: int, uses_thread: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._settings = settings
        self._schedule_steps = schedule_steps
        self._workers = workers
        self._uses_thread = uses_thread and not workers
        self.model_accepts_loss_kwargs = False  # the engine itself averages over accumulated items
        self._trained: list[nn.Parameter] = []
        self._scalars: dict[str, list[torch.Tensor]] = defaultdict(list)
        self.examples_seen = 0

    @override
    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Make the optimizer that the settings name.

        Args:
            model: The module whose parameters it trains; None: the objective.

        Returns:
            The optimizer.

        Raises:
            UserError: Its package is not installed, or it does not take an argument of `optim_args`.
        """
        settings = self._settings
        try:
            optimizer = super().create_optimizer(model)
        except (ImportError, ValueError, RuntimeError) as error:
            raise UserError(
                f"trainer.optim: the optimizer '{settings.optim}' cannot be used here ({first_line(error)}); install "
                "what it needs, or choose another, such as adamw_torch_fused"
            ) from error
        for name, value in settings.optim_args.items():  # transformers passes over those that it does not know
            if any(group.get(name) != value for group in optimizer.param_groups):
                raise UserError(
                    f"trainer.optim_args: {name}: {value} has no effect on the optimizer '{settings.optim}'"
                    f"{did_you_mean(name, optimizer.defaults.keys() - HAVE_SETTINGS)}"
                )
        return optimizer

    @override
    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """Make the schedule that the settings name.

        It may be longer than the training, as VOLTA's, which stretches over 20 epochs.

        Args:
            num_training_steps: The number of optimizer steps of the training, which is not used.
            optimizer: The optimizer; None: the trainer's.

        Returns:
            The schedule.

        Raises:
            UserError: The schedule lacks an argument, or does not take one of `lr_scheduler_kwargs`.
        """
        try:
            return super().create_scheduler(self._schedule_steps, optimizer)
        except (TypeError, ValueError) as error:
            raise UserError(
                f"trainer.lr_scheduler_kwargs: the schedule '{self._settings.lr_scheduler}' cannot be made with "
                f"{self._settings.lr_scheduler_kwargs} ({first_line(error)})"
            ) from error

    @override
    def _clip_grad_norm(self, model: nn.Module) -> torch.Tensor:
        """Clip the gradients of what is trained, which is looked for once; transformers does so at each step."""
        self._trained = self._trained or [value for value in model.parameters() if value.requires_grad]
        norm: torch.Tensor = self.accelerator.clip_grad_norm_(self._trained, self.args.max_grad_norm)
        return norm

    @override
    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        weight = inputs.pop(WEIGHT)
        self.examples_seen += count_examples(inputs)
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
        pin_memory = self.args.dataloader_pin_memory
        if self._uses_thread:  # which pins the memory as well
            return loader(ThreadedItems(self.train_dataset, pin_memory), 0)
        return loader(self.train_dataset, self._workers, pin_memory)

    @override
    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Move an item to the device, unless a worker could not make it, which raises its `UserError`."""
        prepared: dict[str, Any] = super()._prepare_inputs(checked(inputs))
        return prepared

    @override
    def _prepare_input(self, data: Any) -> Any:
        """Move a part of an item to the device; transformers moves tensors, and passes over batches.

        Copies from pinned memory are not waited for: what the device computes next comes after them.
        """
        if isinstance(data, Batch):
            return data.to(self.args.device, non_blocking=self.args.dataloader_pin_memory)
        return super()._prepare_input(data)

    @override
    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """Save what training changes.

        Tied weights are saved once, where transformers would hand all names to safetensors, which refuses them, and
        what an adapter has frozen is left out.
        """
        assert self.model is not None
        super()._save(output_dir, stored_weights(self.model) if state_dict is None else state_dict)

    @override
    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Load what `_save` wrote; transformers would only warn of missing weights."""
        assert self.model is not None
        load_weights(self.model, Path(resume_from_checkpoint) / SAFE_WEIGHTS_NAME)

    def check_weights(self) -> None:
        """Check what the last step has left; losses are checked before their step is taken.

        Raises:
            UserError: A weight is not finite.
        """
        assert self.model is not None
        if not all(value.isfinite().all() for value in self.model.parameters() if value.requires_grad):
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
        """Log what transformers knows of a step and is of use, with the means of the objective's scalars.

        At the end it knows the mean loss, which is that of a training of fewer steps than between two logs.
        """
        means = {name: torch.stack(values).mean().item() for name, values in self._scalars.items()}
        self._scalars.clear()
        if "train_loss" in logs and not any("loss" in earlier for earlier in self.state.log_history):
            means["loss"] = logs["train_loss"]
        if kept := {name: value for name, value in logs.items() if name not in MEANINGLESS} | means:
            self.state.log_history.append({**kept, "step": self.state.global_step})
            self.control = self.callback_handler.on_log(self.args, self.state, self.control, kept)

    def log_score(self, score: float) -> None:
        """Log the score of a validation, from 0 to 100, which leaves the losses of the step to be logged."""
        is_logged = self.control.should_log
        self.control = self.callback_handler.on_log(self.args, self.state, self.control, {"eval_validation": score})
        self.control.should_log = is_logged
