"""What is said of a training while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from typing_extensions import override

from iglue_plugins.data.batching import Batch
from iglue_plugins.trainers.validation import BestWeights
from iglue_plugins.utils.progress import ProgressLines, progress_bar

NO_LOSSES = {"grad_norm", "learning_rate"}  # among what is logged


@runtime_checkable
class LogsOnSomeSteps(Protocol):
    """An objective that spares the work for scalars which are only logged."""

    is_logging: bool


class Progress(TrainerCallback):
    """Shows how far a training is, and tells the objective which steps are logged.

    On a terminal that is a bar. Elsewhere it is a line every 30 seconds, after each validation and at the end: the
    step, the losses as they were last logged, examples a second, the validation score and the time left. It has to
    stand behind the callback that validates.

    Args:
        objective: The module that is minimized.
        best_weights: The callback that validates; None without validation.
        examples_seen: Returns how many examples this process has trained on.
        processes: The number of processes that train.
    """

    def __init__(
        self,
        objective: nn.Module,
        best_weights: BestWeights | None = None,
        examples_seen: Callable[[], int] = lambda: 0,
        processes: int = 1,
    ) -> None:
        self._objective, self._best_weights = objective, best_weights
        self._examples_seen, self._processes = examples_seen, processes
        self._losses = ""

    @override
    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._start, self._losses = time.monotonic(), ""
        self._bar = progress_bar(total=state.max_steps, initial=state.global_step, unit="step")

    @override
    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if isinstance(self._objective, LogsOnSomeSteps):
            self._objective.is_logging = (state.global_step + 1) % args.logging_steps == 0

    @override
    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._describe()
        self._bar.update()
        last = self._best_weights.last if self._best_weights else None
        if last is not None and last["step"] == state.global_step != state.max_steps:
            self._print_line()

    @override
    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        logs = logs or {}
        if "loss" in logs:
            names = [name for name in logs if name not in NO_LOSSES and "/" not in name]
            self._losses = ", ".join(f"{name} {logs[name]:.3f}" for name in sorted(names, key="loss".__ne__))
            if not isinstance(self._bar, ProgressLines):
                self._bar.set_postfix(loss=f"{logs['loss']:.3f}")

    @override
    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._print_line()
        self._bar.close()

    def _describe(self) -> None:
        """Give the bar what its lines say beside the step."""
        if not isinstance(self._bar, ProgressLines):
            return
        rate = self._processes * self._examples_seen() / max(time.monotonic() - self._start, 1e-9)
        parts = [self._losses, f"{rate:.{0 if rate >= 10 else 1}f} examples/s" if rate else ""]
        if self._best_weights is not None and (last := self._best_weights.last) is not None:
            best = self._best_weights.best or last
            parts.append(f"validation {last['score']:.1f} (best {best['score']:.1f} at step {best['step']})")
        self._bar.set_postfix_str(", ".join(filter(None, parts)), refresh=False)

    def _print_line(self) -> None:
        """Print a line now, if progress is said in lines."""
        if isinstance(self._bar, ProgressLines):
            self._describe()
            self._bar.refresh()


def count_examples(item: Any) -> int:
    """Count the examples of the batches in an item of a training.

    Args:
        item: A batch, or containers of them; anything else has none.
    """
    if isinstance(item, Batch):
        return len(item.labels)
    if isinstance(item, Mapping):
        return sum(map(count_examples, item.values()))
    return sum(map(count_examples, item)) if isinstance(item, list | tuple) else 0
