"""What a run's record says beside its scores."""

from __future__ import annotations

import importlib.metadata
import platform
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iglue_plugins import __version__
from iglue_plugins.recipes import Recipe
from iglue_plugins.runs import Run

if TYPE_CHECKING:
    from iglue_plugins.tasks.base import Task
    from iglue_plugins.trainers.base import LanguageAdapter, Trainer

VERSIONED = ("torch", "transformers", "datasets", "accelerate", "tokenizers", "numpy")


@dataclass(frozen=True)
class Start:
    """Where a run's weights come from, and the languages that they have been trained on so far."""

    checkpoint: Path | None = None  # None: the model's own weights
    fingerprint: str | None = None
    training_languages: tuple[str, ...] = ()


def new_record(
    recipe: Recipe, run: Run, start: Start, trainer: Trainer | LanguageAdapter, task: Task
) -> dict[str, Any]:
    """What is known of a run before it begins."""
    languages = list(start.training_languages)
    if recipe.trains_on == "auxiliary":
        languages += [language for language in recipe.auxiliary_languages if language not in languages]
    return {
        "name": recipe.name,
        "fingerprint": run.folder.name.rpartition("-")[2],
        "seed": recipe.seed,
        "task": recipe.task.name,
        "trainer": recipe.trainer.name,
        "source_language": recipe.source_language,
        "training_languages": languages,
        "steps": 0,
        "labels_per_step": trainer.labels_per_step(task, len(recipe.auxiliary_languages)),
        "start_from": {"fingerprint": start.fingerprint, "path": str(start.checkpoint)} if start.checkpoint else None,
        "recipe": recipe.to_dict(),
        "versions": {"iglue_plugins": __version__, "python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in VERSIONED},
        "scores": {},
        "timings": {},
    }


def add_time(record: dict[str, Any], name: str, began: float) -> None:
    """Add the seconds since `began` (monotonic) to a timing."""
    record["timings"][name] = round(record["timings"].get(name, 0) + time.monotonic() - began, 2)


def peak_memory() -> float:
    """Of this process so far, in GiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30, 2)
