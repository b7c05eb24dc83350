"""What a run's record and a model's configuration say of the machine and its user, and what is left without it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iglue_plugins.recipes.reading import START_KEYWORDS
from iglue_plugins.runs.starts import run_of_model, start_of
from iglue_plugins.runs.status import as_mapping
from iglue_plugins.utils.model_sources import is_hub_uri, is_local_path

NAMES = {"name", "task", "trainer"}  # keys of names in registries, such as mini/xvnli, which may be folders too
OF_A_PROCESS = ("date", "device", "processes", "versions")  # without host and command
PATH_KEYS = ("path", "file", "folder", "dir", "checkpoint")  # what keys of configurations with paths end in


def public_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record without paths, hosts and commands.

    Args:
        record: The record of a run.

    Returns:
        The record, in which a setting that is a local path is null. Of what the run started from, its name and
        fingerprint stay, and its recipe starts from `model`.
    """
    cleaned: dict[str, Any] = public_value({key: value for key, value in record.items() if key != "processes"})
    recipe = as_mapping(cleaned.get("recipe"))
    recipe.pop("runs", None)
    recipe.pop("start_from_settings", None)
    start = as_mapping(record.get("recipe")).get("start_from")
    recipe["start_from"] = start if start in START_KEYWORDS or is_hub_uri(str(start)) else "model"
    if (before := start_of(record)) is not None:
        cleaned["start_from"]["path"] = run_of_model(before[0]).folder.name
    processes = record.get("processes")
    cleaned["processes"] = [_process(as_mapping(each)) for each in processes] if isinstance(processes, list) else []
    return cleaned


def _process(process: Mapping[str, Any]) -> dict[str, Any]:
    commit = as_mapping(process.get("commits")).get("iglue_plugins")
    return {key: process.get(key) for key in OF_A_PROCESS} | {"commits": {"iglue_plugins": commit}}


def public_value(value: Any, key: str = "") -> Any:
    """Return JSON values with null in the place of local paths.

    Args:
        value: The values.
        key: The key that they stand under.
    """
    if isinstance(value, dict):
        return {name: public_value(below, str(name)) for name, below in value.items()}
    if isinstance(value, list):
        return [public_value(item, key) for item in value]
    is_name = key.rpartition(".")[2] in NAMES
    return None if isinstance(value, str) and not is_name and is_local_path(value) else value


def public_configuration(value: Any, key: str = "") -> Any:
    """Return the configuration of a model or tokenizer with null in the place of local paths.

    Only keys of paths are looked at, since a token may look like a path.

    Args:
        value: The values of a JSON file.
        key: The key that they stand under.
    """
    if isinstance(value, dict):
        return {name: public_configuration(below, str(name)) for name, below in value.items()}
    if isinstance(value, list):
        return [public_configuration(item, key) for item in value]
    is_path = isinstance(value, str) and key.endswith(PATH_KEYS) and is_local_path(value)
    return None if is_path else value
