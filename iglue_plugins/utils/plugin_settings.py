"""The settings that a trainer or a task is made with."""

from __future__ import annotations

from typing import Any


def plugin_settings(plugin: object, given: object) -> Any:
    """Check the settings of a plugin, so that another harness's configuration is not taken for them.

    Args:
        plugin: The plugin, whose class has `Settings`.
        given: What it was made with.

    Returns:
        `given`, or the default settings if it is None.

    Raises:
        TypeError: `given` is no instance of the class's `Settings`.
    """
    cls: Any = type(plugin)
    if given is None:
        return cls.Settings()
    if not isinstance(given, cls.Settings):
        raise TypeError(
            f"{cls.__name__} was given a {type(given).__name__} in the place of its settings; make them by "
            f"{cls.__name__}.Settings(...)"
        )
    return given
