"""The settings in a run's record that say how its weights were trained, apart from the seed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from iglue_plugins import registry
from iglue_plugins.runs.folder import Run
from iglue_plugins.utils.errors import UserError

# The stage before stands for start_from.
NOT_OF_TRAINING = {"name", "seed", "runs", "evaluation", "start_from", "start_from_settings"}
BEFORE = "start_from."
PRECISION = "trainer.precision"
TASK = "task.name"
REGISTRIES = {"task": registry.tasks, "model": registry.models, "trainer": registry.trainers}


def training_settings(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a run was trained with, those of the stages before included.

    Args:
        record: The record of a run.

    Returns:
        Values by key path, such as `trainer.learning_rate`; those of the stage before begin with `start_from.`. Those
        of a task's `example_settings` that a record does not have yet are their defaults.
    """
    recipe = {key: value for key, value in (record.get("recipe") or {}).items() if key not in NOT_OF_TRAINING}
    settings = dict(_flattened(recipe))
    if PRECISION in settings and "precision" in record:
        settings[PRECISION] = record["precision"]  # what "auto" came to
    for section, packages in record.get("code", {}).items():
        settings[f"{section}.code"] = ", ".join(package.get("sha256", "")[:12] for package in packages)
    start = record.get("start_from")
    if start is None:
        return _with_example_settings(settings)
    before = start.get("settings")
    if before is None:  # a record of an earlier version, or a checkpoint
        previous = Run(Path(start["path"]).parent).record()
        if previous is None:
            return _with_example_settings(settings) | {"start_from": record["recipe"].get("start_from")}
        before = training_settings(previous)
    return _with_example_settings(settings | {f"{BEFORE}{key}": value for key, value in before.items()})


def differing_settings(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Find the settings that make runs more than seeds of one another.

    Args:
        runs: The training settings of each run.

    Returns:
        The key paths whose values differ and have an effect on the weights.
    """
    keys = dict.fromkeys(key for settings in runs for key in settings)
    return [
        key
        for key in keys
        if any(settings.get(key) != runs[0].get(key) for settings in runs)
        and any(_has_effect(key, settings) for settings in runs)
    ]


def _has_effect(key: str, settings: Mapping[str, Any]) -> bool:
    """Tell whether a setting changes the weights; what a plugin that is not installed does is unknown, so it does."""
    place = key[: key.rfind(BEFORE) + len(BEFORE)] if BEFORE in key else ""
    section, _, setting = key.removeprefix(place).partition(".")
    try:
        if section == "auxiliary_languages":
            return registry.trainers.get(settings[f"{place}trainer.name"]).trains_on == "auxiliary"
        if section not in REGISTRIES:
            return True
        plugin = REGISTRIES[section].get(settings[f"{place}{section}.name"])
        if setting in getattr(plugin.Settings, "split_settings", {}).get("auxiliary", ()):
            return registry.trainers.get(settings[f"{place}trainer.name"]).trains_on == "auxiliary"
        return setting not in getattr(plugin.Settings, "fingerprint_exclude", ())
    except (UserError, KeyError, AttributeError):
        return True


def _with_example_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Add the defaults of the tasks' `example_settings` to settings that lack them, in all stages."""
    defaults: dict[str, Any] = {}
    for key, value in settings.items():
        if key.removeprefix(BEFORE * key.count(BEFORE)) != TASK:
            continue
        with contextlib.suppress(UserError):  # a task that is not installed
            kind = registry.tasks.get(value).Settings
            place = key.removesuffix("name")
            names = sorted(getattr(kind, "example_settings", ()))
            defaults |= {f"{place}{name}": kind.model_fields[name].default for name in names}
    return defaults | dict(settings)


def _flattened(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
