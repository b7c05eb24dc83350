"""Reading the right answers of a task's test split from its annotations."""

from __future__ import annotations

import os
from collections.abc import Mapping

from iglue_plugins import registry
from iglue_plugins.data.annotations.caching import read_annotations
from iglue_plugins.evaluation.answers import GoldAnswers
from iglue_plugins.models.configuration import current_head
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.iglue.task import IGLUETask
from iglue_plugins.tasks.settings import IGLUE_HOME, data_setting
from iglue_plugins.utils.errors import UserError

SPLIT = "test"


def read_gold(name: str, language: str, data_root: str | None = None) -> GoldAnswers:
    """Read the right answers of a task's test split in a language.

    The answers of xGQA are English words in every language, so they are read from the English files.

    Args:
        name: The task's name.
        language: The language's code.
        data_root: The task's setting of this name; None leaves it unset.

    Returns:
        The answers.

    Raises:
        UserError: There is no such task, it does not have the language, there is no data root, or the annotations are
            missing or damaged.
    """
    task = _make_task(name, language, data_root)
    head = current_head(task.head)
    retrieval, any_word = head == "image_text_matching", head == "vqa"
    read_in = task.source_language if any_word and isinstance(task, IGLUETask) else language
    data = task.load(SPLIT, read_in).select_columns(["id", "image_ids", "label"])[:]
    images = [image_ids[0] for image_ids in data["image_ids"]]
    answers = dict(zip(data["id"], images if retrieval else data["label"], strict=True))
    if len(answers) < len(images):
        raise UserError(f"task {name}: an id occurs twice in {SPLIT}/{read_in}; each id must occur once")
    choices = tuple(dict.fromkeys(images)) if retrieval else None if any_word else task.labels
    unscored = _unscored_labels(task, read_in, answers)
    unlabelled = 0 if any_word or retrieval else sum(label not in task.labels for label in unscored.values())
    vocabulary = frozenset(task.labels if any_word else ())
    return GoldAnswers(name, language, SPLIT, answers, choices, retrieval, frozenset(unscored), unlabelled, vocabulary)


def _make_task(name: str, language: str, data_root: str | None) -> Task:
    cls = registry.tasks.load(name)
    setting = data_setting(cls.Settings)
    if data_root is not None and setting is None:
        raise UserError(f"--data-root {data_root}: task {name} brings its own data; leave the option out")
    task = cls(cls.Settings(**({setting: data_root} if data_root is not None and setting is not None else {})))
    task.check_split_language(SPLIT, language)
    if isinstance(task, IGLUETask) and data_root is None and not os.environ.get(IGLUE_HOME):
        raise UserError(f"--data-root is not given; name the folder with IGLUE's annotations by it, or in {IGLUE_HOME}")
    return task


def _unscored_labels(task: Task, language: str, scored: Mapping[str, str]) -> dict[str, str]:
    """Return, by id, the labels of examples in the split's files and exclusion files that are not scored."""
    if not isinstance(task, IGLUETask):
        return {}
    found: dict[str, str] = {}
    for source in task.config.splits[SPLIT]:
        for name in (*source.file, *source.without) if language in source.languages else ():
            path = task.datasets_folder / name.format(language=language)
            if path.is_file():
                rows = read_annotations(
                    path,
                    source.kind,
                    language=language,
                    labels=task.labels,
                    keep_unknown=True,
                    store=source.store.format(language=language),
                ).examples
                found.update(zip(rows["id"][:], rows["label"][:], strict=True))
    return {id_: label for id_, label in found.items() if id_ not in scored}
