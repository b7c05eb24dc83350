"""The record of a run: its recipe, versions, timings and scores."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs.environment import versions
from iglue_plugins.runs.fingerprint import outside_code
from iglue_plugins.runs.folder import Run
from iglue_plugins.trainers.precision import resolved_precision


@dataclass(frozen=True)
class Start:
    """The weights that a run's training starts from.

    Attributes:
        checkpoint: The folder or file of the weights; None for the model's own.
        fingerprint: The fingerprint of the run before, or the content hash of the checkpoint.
        training_languages: The languages other than the source language that the weights were trained on.
        settings: The training settings of the run before; None for a checkpoint.
    """

    checkpoint: Path | None = None
    fingerprint: str | None = None
    training_languages: tuple[str, ...] = ()
    settings: dict[str, Any] | None = None


def new_record(recipe: Recipe, run: Run, start: Start, labels_per_step: int) -> dict[str, Any]:
    """Make the record of a run that has not begun.

    Args:
        recipe: The resolved recipe.
        run: The run's folder.
        start: The weights that training starts from.
        labels_per_step: How many labelled examples one optimizer step uses.

    Returns:
        A record without scores and timings.
    """
    languages = list(start.training_languages)
    if recipe.trains_on == "auxiliary":
        languages += [language for language in recipe.auxiliary_languages if language not in languages]
    return {
        "name": recipe.name,
        "fingerprint": run.fingerprint,
        "seed": recipe.seed,
        "task": recipe.task.name,
        "trainer": recipe.trainer.name,
        "source_language": recipe.source_language,
        "training_languages": languages,
        "steps": 0,
        "labels_per_step": labels_per_step,
        "start_from": {
            "fingerprint": start.fingerprint,
            "path": str(start.checkpoint),
            "settings": start.settings,
        }
        if start.checkpoint
        else None,
        "recipe": recipe.to_dict(),
        "precision": resolved_precision(recipe.trainer.settings.get("precision", "float32")),
        "code": outside_code(recipe),
        "versions": versions(),
        "scores": {},
        "timings": {},
    } | ({} if recipe.limit is None else {"limit": recipe.limit})


def add_time(record: dict[str, Any], name: str, start: float) -> None:
    """Add the time since `start` to one of a record's timings.

    Args:
        record: The record, which is changed.
        name: The timing, such as "training_seconds".
        start: A value of `time.monotonic()`, in seconds.
    """
    record["timings"][name] = round(record["timings"].get(name, 0) + time.monotonic() - start, 2)


def peak_memory_gib() -> float:
    """Return the peak resident memory of this process so far, in GiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30, 2)
