"""What experiment trackers are told of a run: under which name, with which settings, and its scores.

The callbacks of transformers do the work. They take a part of what they do from environment variables; those that the
user has set keep their say.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.integrations.integration_utils import (
    get_available_reporting_integrations,
    get_reporting_integration_callbacks,
)
from typing_extensions import override

from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.lines import say

PROJECT = "iglue_plugins"
ADAPTED = "adapted"  # the folder of the trainings of a run that has one for each language
# What transformers logs of an epoch, of tokens and of operations, which objectives do not have, and of a training's
# whole time and loss, which are those of the last process alone where it was resumed. A run's record has the time.
MEANINGLESS = frozenset(
    {"epoch", "total_flos", "train_loss", "train_runtime", "train_samples_per_second", "train_steps_per_second"}
)

_given: dict[str, str | None] = {}  # by variable, what the user had set before this module set it


@dataclass
class TrackedArguments(TrainingArguments):
    """Arguments of transformers' Trainer that show trackers the settings of a recipe, instead of all arguments.

    Attributes:
        shown: The settings, as JSON values.
    """

    shown: dict[str, Any] = field(default_factory=dict)

    @override
    def to_dict(self) -> dict[str, Any]:
        """Return what trackers show of the arguments."""
        return dict(self.shown)


def check_trackers(trackers: Iterable[str]) -> None:
    """Check that trackers can be used here.

    Args:
        trackers: Their names, as transformers has them.

    Raises:
        UserError: One of them is not installed, or is turned off.
    """
    if missing := _unavailable(trackers):
        raise UserError(
            f"trainer.report_to: {', '.join(missing)} cannot be used here, because the package is not "
            "installed or its environment variables turn it off; install it, or leave it out"
        )


def _unavailable(trackers: Iterable[str]) -> list[str]:
    return sorted(set(trackers) - set(get_available_reporting_integrations()))


def run_name(folder: Path) -> str:
    """Return the name of a training for trackers.

    Args:
        folder: The folder of the training: that of a run, or in one with a training for each language the language's.
    """
    return f"{folder.parents[1].name}-{folder.name}" if folder.parent.name == ADAPTED else folder.name


def begin_run(folder: Path) -> None:
    """Tell trackers where the logs of a training go, and what it is called, so that it continues where it was.

    Args:
        folder: The folder of the training.
    """
    finish_run()
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder / "tensorboard")
    identity = re.sub(r"[^\w.-]", "_", run_name(folder), flags=re.ASCII)
    for name, value in (("WANDB_PROJECT", PROJECT), ("WANDB_RUN_ID", identity), ("WANDB_RESUME", "allow")):
        if _given.setdefault(name, os.environ.get(name)) is None:
            os.environ[name] = value


def finish_run() -> None:
    """End a run that a tracker would otherwise continue in the next one; that of wandb ends with the process."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and getattr(wandb, "run", None) is not None:
        with contextlib.redirect_stdout(sys.stderr):
            wandb.finish()


@contextlib.contextmanager
def silence_tensorboard_thread_errors() -> Iterator[None]:
    """Keep TensorBoard's thread from printing an error that it also hands on to the main thread."""
    hook = threading.excepthook
    threading.excepthook = lambda failed: None if isinstance(failed.exc_value, OSError) else hook(failed)
    try:
        yield
    finally:
        threading.excepthook = hook


def log_scores(
    trackers: Sequence[str], folder: Path, step: int, scores: Mapping[str, float], shown: Mapping[str, Any]
) -> None:
    """Log scores of a trained model; what goes wrong is said in a line, since it must not cost a run.

    Args:
        trackers: The names of trackers. Those that cannot be used here are left out, which is said.
        folder: The run's folder.
        step: The number of optimizer steps that the model was trained for.
        scores: Scores by name, without a slash at its start.
        shown: The settings that the training has shown trackers, some of which forget them otherwise.
    """
    missing = _unavailable(trackers)
    for tracker in missing:
        say(f"{folder.name}: its scores are not in {tracker}, which cannot be used here")
    begin_run(folder)
    # Made without __init__, which would choose a device and set up the processes anew.
    arguments = TrackedArguments.__new__(TrackedArguments)
    arguments.run_name, arguments.project, arguments.output_dir, arguments.shown = (
        run_name(folder),
        PROJECT,
        "",
        dict(shown),
    )
    state, control = TrainerState(global_step=step, max_steps=step), TrainerControl()
    logs = {f"eval_{name}": value for name, value in scores.items()}  # by which transformers knows them from losses
    for tracker in (name for name in trackers if name not in missing):
        try:
            with contextlib.redirect_stdout(sys.stderr), silence_tensorboard_thread_errors():
                for callback in (cls() for cls in get_reporting_integration_callbacks([tracker])):
                    callback.on_log(arguments, state, control, model=None, logs=dict(logs))
                    callback.on_train_end(arguments, state, control, model=None)
        except Exception as error:
            say(f"{folder.name}: its scores are not in {tracker} ({type(error).__name__}: {error})")
    finish_run()
