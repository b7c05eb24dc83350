"""Checks of a recipe's values against each other, beyond the type of each."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from iglue_plugins.recipes.plugins import RegisteredTask, RegisteredTrainer
from iglue_plugins.recipes.problems import KeyPath, Report
from iglue_plugins.recipes.reading import START_KEYWORDS
from iglue_plugins.utils.errors import did_you_mean
from iglue_plugins.utils.model_sources import HUB_ID, is_hub_uri, split_hub_uri


def check_task_values(data: dict[str, Any], task: RegisteredTask, report: Report) -> None:
    """Check that the task has every language and split that the recipe names.

    Args:
        data: The merged recipe.
        task: The recipe's task.
        report: The function that takes each problem.
    """
    name = data["task"]["name"]
    language_paths = (("source_language",), ("auxiliary_languages",), ("evaluation", "languages"))
    checks: tuple[tuple[str, Collection[str], tuple[KeyPath, ...]], ...] = (
        ("language", task.languages, language_paths),
        ("split", task.splits, (("evaluation", "splits"),)),
    )
    for kind, choices, paths in checks:
        for path in paths:
            for place, value in _strings_at(data, path):
                if value not in choices:
                    report(place, f"found '{value}', expected a {kind} of task {name}{did_you_mean(value, choices)}")


def check_languages(data: dict[str, Any], trainer: RegisteredTrainer, report: Report) -> None:
    """Check the source languages and the auxiliary languages.

    No language may stand twice, no auxiliary language may be a source language, and a trainer that trains on auxiliary
    languages needs at least one.

    Args:
        data: The merged recipe.
        trainer: The recipe's trainer.
        report: The function that takes each problem.
    """
    languages, sources = data["auxiliary_languages"], [value for _, value in _strings_at(data, ("source_language",))]
    if isinstance(data["source_language"], list):
        if not sources:
            report(("source_language",), "the list is empty; name at least one language")
        _check_repeated(("source_language",), sources, report)
    if not isinstance(languages, list):
        return
    for index, language in enumerate(languages):
        if language in sources:
            what = "the source language" if len(sources) == 1 else "a source language"
            report(("auxiliary_languages", str(index)), f"'{language}' is {what}; name other languages")
    _check_repeated(("auxiliary_languages",), languages, report)
    if not languages and trainer.trains_on == "auxiliary":
        name = data["trainer"]["name"]
        besides = f" besides source {', '.join(map(str, sources))}" if sources else ""
        report(
            ("auxiliary_languages",), f"there are none{besides}, but trainer {name} trains on them; name at least one"
        )


def _check_repeated(path: KeyPath, names: Sequence[object], report: Report) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            report((*path, str(index)), f"'{name}' stands twice; name each language once")


def check_start(start_from: object, report: Report) -> None:
    """Check that `start_from` is a keyword, a path that exists, or a hub id after hf://.

    Args:
        start_from: The value in the recipe; one that is not a string is left to the type check.
        report: The function that takes the problem.
    """
    if not isinstance(start_from, str) or start_from in START_KEYWORDS or Path(start_from).exists():
        return
    if is_hub_uri(start_from):
        if not HUB_ID.fullmatch(split_hub_uri(start_from)[0]):
            report(
                ("start_from",),
                f"'{start_from}' names no repository; write hf://OWNER/NAME or hf://OWNER/NAME@REVISION",
            )
        return
    path = Path(start_from)
    near = difflib.get_close_matches(path.name, [*START_KEYWORDS, *(file.name for file in path.parent.glob("*"))], n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    remedy = "name 'model', 'finetune', the path of a recipe, run or checkpoint, or hf://OWNER/NAME"
    report(("start_from",), f"'{path}' does not exist; {remedy}{hint}")


def _strings_at(data: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Yield the strings at a key path with their paths: the one that is there, or those in a list."""
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    values: list[tuple[KeyPath, Any]] = [(path, data)]
    if isinstance(data, list):
        values = [((*path, str(index)), value) for index, value in enumerate(data)]
    yield from ((place, value) for place, value in values if isinstance(value, str))
