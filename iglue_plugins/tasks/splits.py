"""The splits of a task, with their languages and numbers of shots."""

from __future__ import annotations

from collections.abc import Iterator

from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.custom.task import CustomTask


def available_splits(task: Task) -> Iterator[tuple[str, str, tuple[int | str | None, ...]]]:
    """List the splits of a task with their languages and numbers of shots.

    Args:
        task: The task.

    Yields:
        A split, one of its languages, and its numbers of shots there; (None,) for a split without shots.
    """
    if isinstance(task, CustomTask):
        yield from task.available_splits()
        return
    config = getattr(task, "config", None)  # of a task whose examples are read from files
    for split in task.splits:
        if config is None:
            yield from ((split, language, (None,)) for language in task.languages)
        elif split in config.splits:  # "auxiliary" is not one of them, since it refers to another split
            yield from (
                (split, language, config.shots(split, language) or (None,))
                for language in config.split_languages(split)
            )
