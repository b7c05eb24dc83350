"""The specifications of the IGLUE tasks, whose implementations are imported when they are needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from iglue_plugins.registry import tasks
from iglue_plugins.tasks.config import IGLUEConfig, load_task_config
from iglue_plugins.tasks.settings import IGLUERetrievalSettings, TaskSettings, iglue_settings
from iglue_plugins.tasks.spec import IGLUESpec

C = TypeVar("C", bound=type[IGLUESpec])


def register_iglue_task(name: str, settings: type[TaskSettings] = TaskSettings) -> Callable[[C], C]:
    """Make a class decorator that registers an IGLUE task with the facts and settings of its file in task_configs/.

    Args:
        name: The task's name, and that of its file.
        settings: The settings of its kind of task.

    Returns:
        A decorator that returns the class.
    """
    config = load_task_config(name, IGLUEConfig)

    def decorate(cls: C) -> C:
        for attribute, value in (config.class_attributes() | {"Settings": iglue_settings(config, settings)}).items():
            setattr(cls, attribute, value)
        return tasks.register(name)(cls)

    return decorate


@register_iglue_task("xvnli")
class IGLUEXVNLISpec(IGLUESpec):
    """Does the image entail, contradict or leave open what the hypothesis says?"""

    implementation = "iglue_plugins.tasks.iglue.tasks:IGLUEXVNLI"


@register_iglue_task("xgqa")
class IGLUEXGQASpec(IGLUESpec):
    """What is the English answer to the question about the image?"""

    implementation = "iglue_plugins.tasks.iglue.tasks:IGLUEXGQA"


@register_iglue_task("marvl")
class IGLUEMaRVLSpec(IGLUESpec):
    """Is the statement true of the two images?"""

    implementation = "iglue_plugins.tasks.iglue.tasks:IGLUEMaRVL"


@register_iglue_task("xflickrco", IGLUERetrievalSettings)
class IGLUEXFlickrCOSpec(IGLUESpec):
    """Which image does the caption describe, and which caption describes the image?"""

    implementation = "iglue_plugins.tasks.iglue.tasks:IGLUEXFlickrCO"
