"""What must hold between a recipe's values, beyond the type of each."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from iglue_plugins.recipes.problems import KeyPath
from iglue_plugins.recipes.reading import START_KEYWORDS
from iglue_plugins.utils.errors import did_you_mean

Report = Callable[[KeyPath, str], None]


def check_task_values(data: dict[str, Any], task: type, report: Report) -> None:
    """The task has every language and split."""
    name = data["task"]["name"]
    for kind, choices, paths in (
        ("language", task.languages, (("source_language",), ("auxiliary_languages",), ("evaluation", "languages"))),
        ("split", task.splits, (("evaluation", "splits"),)),
    ):
        for path in paths:
            for place, value in _texts(data, path):
                if value not in choices:
                    report(place, f"found '{value}', expected a {kind} of task {name}{did_you_mean(value, choices)}")


def check_auxiliary(data: dict[str, Any], trainer: type, given: bool, report: Report) -> None:
    """Auxiliary languages: none twice, not the source language, and at least one where they are trained on.

    given: the recipe itself says which, rather than the task's default.
    """
    languages, source = data["auxiliary_languages"], data["source_language"]
    if not isinstance(languages, list):
        return
    if source in languages and not given:
        expected = "auxiliary_languages to be set to others"
        report(("source_language",), f"found '{source}', one of the task's auxiliary languages, expected {expected}")
        return
    for index, language in enumerate(languages):
        place = ("auxiliary_languages", str(index))
        if language == source:
            report(place, f"found '{language}', expected languages other than the source language")
        elif language in languages[:index]:
            report(place, f"found '{language}' twice, expected it once")
    if not languages and trainer.trains_on == "auxiliary":
        name = data["trainer"]["name"]
        report(("auxiliary_languages",), f"found none, expected at least one, which trainer {name} trains on")


def check_start(start_from: Any, report: Report) -> None:
    """start_from is a keyword or a path that exists."""
    if not isinstance(start_from, str) or start_from in START_KEYWORDS or Path(start_from).exists():
        return
    path = Path(start_from)
    near = difflib.get_close_matches(path.name, [*START_KEYWORDS, *(file.name for file in path.parent.glob("*"))], n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    expected = "'model', 'finetune', or the path of a recipe, run or checkpoint"
    report(("start_from",), f"found '{path}', which does not exist, expected {expected}{hint}")


def _texts(data: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """The source language, or each text in the list at another key path, with its own key path."""
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    if path == ("source_language",):
        values = [(path, data)]
    else:
        values = [((*path, str(index)), value) for index, value in enumerate(data)] if isinstance(data, list) else []
    yield from ((place, value) for place, value in values if isinstance(value, str))
