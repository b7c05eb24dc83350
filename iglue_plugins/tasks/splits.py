"""The splits that a task has, in which languages and with how many shots."""

from __future__ import annotations

from collections.abc import Iterator

from iglue_plugins.tasks.base import Task


def available_splits(task: Task) -> Iterator[tuple[str, str, tuple[int | str | None, ...]]]:
    """List what can be loaded of a task.

    Args:
        task: The task.

    Yields:
        A split, one of its languages, and its numbers of shots there; (None,) for a split without shots.
    """
    config = getattr(task, "config", None)  # only tasks that are read from files lack a language in some splits
    for split in task.splits:
        if config is None:
            yield from ((split, language, (None,)) for language in task.languages)
        elif split in config.splits:  # "auxiliary" is not among them, since it stands for another split
            yield from (
                (split, language, config.shots(split, language) or (None,))
                for language in config.split_languages(split)
            )
