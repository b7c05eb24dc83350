"""The functions that the generated tasks name: what lmms-eval asks of a document.

A document is an example's id, image_ids, text, language and label, with the name of its task.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from iglue_plugins import registry
from iglue_plugins.integrations.lmms_eval.questions import QUESTIONS
from iglue_plugins.tasks.base import Task
from iglue_plugins.utils.errors import UserError, exit_on_user_error

Document = Mapping[str, Any]
METRIC = "accuracy"
SUFFIXES = (".jpg", ".jpeg", ".png")


def prompt(document: Document, options: Mapping[str, Any]) -> str:
    """The question, for a generative model."""
    return QUESTIONS[document["task"]].ask(document["text"], options.get("labels", ()))


@exit_on_user_error()  # lmms-eval would log an Exception, and end with exit code 0
def pictures(document: Document, options: Mapping[str, Any]) -> list[Image.Image]:
    """The images, RGB: from the folder that the tasks were made with, or else the task's own.

    Raises:
        SystemExit: there is no such picture.
    """
    folder = options.get("images")
    if folder is not None:
        return [_opened(Path(folder), image_id) for image_id in document["image_ids"]]
    task = make_task(document["task"], options.get("settings", {}))
    try:
        return [task.picture(image_id).convert("RGB") for image_id in document["image_ids"]]
    except UserError as error:
        raise UserError(
            f"document '{document['id']}' of {document['task']} in '{document['language']}': {error}; "
            "expected pictures, which `iglue lmms-eval-tasks` takes from --images or --hub"
        ) from error


def scored(document: Document, answers: Sequence[str]) -> dict[str, float]:
    """1 for the right answer."""
    return {METRIC: float(QUESTIONS[document["task"]].is_right(answers[0], document["label"]))}


def make_task(name: str, settings: Mapping[str, Any]) -> Task:
    """The task with settings; documents share it, and with it what it holds."""
    return _task(name, json.dumps(settings, sort_keys=True))


@lru_cache(maxsize=8)
def _task(name: str, settings: str) -> Task:
    cls = registry.tasks.load(name)
    return cls(cls.Settings.model_validate_json(settings))


def _opened(folder: Path, image_id: str) -> Image.Image:
    path = next(filter(Path.is_file, (folder / f"{image_id}{suffix}" for suffix in SUFFIXES)), None)
    if path is None:
        raise UserError(f"{folder / image_id}: found no such picture, expected one that ends in {', '.join(SUFFIXES)}")
    try:
        return Image.open(path).convert("RGB")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error}), expected a picture") from error
