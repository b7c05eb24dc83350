"""The functions that the generated tasks name, and that lmms-eval calls with each document.

A document has an example's id, image_ids, text, language and label, the name of its task, and that of the cluster of
images that it belongs to. Generated task files name `prompt`, `pictures`, `judged` and `mean_score`, and those of
earlier versions `scored`, so these names do not change.
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
CLUSTER = "cluster"  # of a document
SUFFIXES = (".jpg", ".jpeg", ".png")


def prompt(document: Document, options: Mapping[str, Any]) -> str:
    """Return the prompt for a generative model.

    Args:
        document: The document.
        options: The options of the generated task.

    Returns:
        The question about the document's image or images.
    """
    return QUESTIONS[document["task"]].ask(document["text"], options.get("labels", ()))


@exit_on_user_error()  # lmms-eval would log an Exception, and end with exit code 0
def pictures(document: Document, options: Mapping[str, Any]) -> list[Image.Image]:
    """Return the images of a document.

    Args:
        document: The document.
        options: The options of the generated task; `images` is the folder that the task was generated with.

    Returns:
        RGB images, from the folder if there is one, and otherwise from the task.

    Raises:
        SystemExit: An image is missing or damaged; the exit code is 2.
    """
    folder = options.get("images")
    if folder is not None:
        return [_read_picture(Path(folder), image_id) for image_id in document["image_ids"]]
    task = make_task(document["task"], options.get("settings", {}))
    try:
        return [task.pictures.picture(image_id) for image_id in document["image_ids"]]
    except UserError as error:
        raise UserError(
            f"document '{document['id']}' of {document['task']} in '{document['language']}': {error}; "
            "generate the tasks with pictures, by `iglue lmms-eval-tasks` with --images or --hub"
        ) from error


def scored(document: Document, answers: Sequence[str]) -> dict[str, float]:
    """Score the answer of a model.

    Args:
        document: The document.
        answers: The answers; only the first one counts.

    Returns:
        The accuracy, 1 for a right answer and 0 otherwise.
    """
    return {METRIC: float(QUESTIONS[document["task"]].is_right(answers[0], document["label"]))}


def judged(document: Document, answers: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Score the answer of a model, and say what was asked, what was answered, and what is right.

    Args:
        document: The document.
        answers: The answers; only the first one counts.

    Returns:
        By the name of the metric what lmms-eval writes of the document: "score", 1 for a right answer and 0 otherwise,
        "cluster", by which lmms-eval clusters its intervals, and the id, language, text and label with the answer as it
        was read.
    """
    kept = {key: document[key] for key in ("id", "language", "text", "label", CLUSTER)}
    answer = QUESTIONS[document["task"]].read(answers[0])
    return {METRIC: {"score": scored(document, answers)[METRIC], **kept, "read_as": answer}}


def mean_score(judgements: Sequence[Mapping[str, Any]]) -> float:
    """Average the scores of documents.

    Args:
        judgements: What `judged` says of each document.

    Returns:
        The share of right answers.
    """
    return sum(judgement["score"] for judgement in judgements) / len(judgements)


def make_task(name: str, settings: Mapping[str, Any]) -> Task:
    """Make a task, or return the one that was made with equal settings.

    Documents thus share the examples and regions that the task has loaded.

    Args:
        name: The task's name.
        settings: The task's settings, as JSON values.

    Returns:
        The task.
    """
    return _make_task(name, json.dumps(settings, sort_keys=True))


@lru_cache(maxsize=8)
def _make_task(name: str, settings: str) -> Task:
    cls = registry.tasks.load(name)
    return cls(cls.Settings.model_validate_json(settings))


def _read_picture(folder: Path, image_id: str) -> Image.Image:
    paths = (folder / f"{image_id}{suffix}" for suffix in SUFFIXES)
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise UserError(f"{folder / image_id}: there is no such picture with the ending {', '.join(SUFFIXES)}")
    try:
        return Image.open(path).convert("RGB")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error}); replace the picture") from error
