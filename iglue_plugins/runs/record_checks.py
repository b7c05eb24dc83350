"""The records of finished runs, checked for what tables show of them; somebody may have written one by hand."""

from __future__ import annotations

import math
from pathlib import Path
from types import UnionType
from typing import Any

from iglue_plugins.runs.folder import Run
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.languages import language_tuple
from iglue_plugins.utils.text import printable, shown

RECORDED: dict[str, type | UnionType] = {  # what tables read of a record
    "name": str,
    "seed": int,
    "task": str,
    "trainer": str,
    "source_language": str | list,
    "training_languages": list,
    "labels_per_step": int,
    "steps": int,
    "main_metric": str,
    "scores": dict,
}
OPTIONAL: dict[tuple[str, ...], type] = {  # what records need not have, by their keys
    ("recipe",): dict,
    ("recipe", "evaluation"): dict,
    ("recipe", "evaluation", "precision"): str,
    ("precision",): str,
    ("code",): dict,
    ("fingerprint",): str,
    ("limit",): int,
    ("adaptation",): dict,
    ("adaptation", "summary"): str,
    ("start_from",): dict,
    ("start_from", "path"): str,
    ("start_from", "fingerprint"): str,
    ("start_from", "settings"): dict,
}


def read_record(folder: Path) -> dict[str, Any]:
    """Read the record of a finished run, and check that it has what tables show of it.

    Args:
        folder: The run's folder.

    Returns:
        The record.

    Raises:
        UserError: The run is not finished, or its record lacks something, as one written by hand may.
    """
    run = Run(folder)
    record = run.require_record()
    check_record(run, record)
    return record


def check_record(run: Run, record: dict[str, Any]) -> None:
    """Check that a record has what tables show of it.

    Args:
        run: The run.
        record: Its record.

    Raises:
        UserError: It lacks something, or has a value of another type.
    """
    for key, kind in RECORDED.items():
        _check_type(run, key, record.get(key), kind)
    for keys, kind in OPTIONAL.items():
        value: Any = record
        for key in keys:
            value = value.get(key) if value is not None else None
        if value is not None:
            _check_type(run, ".".join(keys), value, kind)
    for key in ("source_language", "training_languages"):
        for language in language_tuple(record[key]):
            _check_type(run, key, language, str)
    if not record["source_language"]:
        raise UserError(f"{run.record_path}: its source_language is empty; correct it, or run again")
    for packages in (record.get("code") or {}).values():
        if not isinstance(packages, list) or not all(isinstance(package, dict) for package in packages):
            _check_type(run, "code", packages, list)
    if (start := record.get("start_from")) is not None:
        _check_type(run, "start_from.path", start.get("path"), str)


def _check_type(run: Run, key: str, value: Any, kind: type | UnionType) -> None:
    if not isinstance(value, kind):
        name = getattr(kind, "__name__", kind)  # a union has none
        raise UserError(
            f"{run.record_path}: its {key} is {shown(value)}, but it has to be of type {name}; correct it, or run again"
        )


def check_scores(run: Run, record: dict[str, Any], split: str) -> None:
    """Check that the scores of a split are those of languages, each with the main metric and the number of examples.

    Args:
        run: The run.
        record: Its record.
        split: A split that has scores.

    Raises:
        UserError: A score is missing, or no number in its range.
    """
    by_language = record["scores"][split]
    if not isinstance(by_language, dict):
        raise UserError(f"{run.record_path}: its scores of {split} are no object; correct it, or run again")
    for language, recorded in by_language.items():
        for key, limit in ((record["main_metric"], 100), ("examples", math.inf)):
            value = recorded.get(key) if isinstance(recorded, dict) else None
            if not isinstance(value, int | float) or not 0 <= value <= limit:
                raise UserError(
                    f"{run.record_path}: its {printable(key)} of {split}/{printable(language)} is {shown(value)}, but "
                    f"it has to be a number from 0{' to 100' * (limit == 100)}; correct it, or run again"
                )
