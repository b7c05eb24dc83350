"""The facts about a task that a recipe needs; this module imports neither PyTorch nor datasets."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, Self

from iglue_plugins.tasks.config import IGLUEConfig
from iglue_plugins.tasks.settings import TaskSettings


class ExampleSet(NamedTuple):
    """The name of examples that a task loads together.

    Attributes:
        split: The split.
        language: The code of the language.
        shots: The number of shots of a few-shot split; None for other splits.
    """

    split: str
    language: str
    shots: int | str | None = None

    def __str__(self) -> str:
        return "/".join(str(part) for part in self if part is not None)


class TaskSpec:
    """The facts about a task that a recipe needs.

    A task whose facts depend on its settings, such as the folder with its data, says so in `for_settings`.

    Attributes:
        name: The task's name in recipes.
        summary: What an example is, in one sentence; "" where a task does not say.
        licence: The licence of the data, or "".
        citation: The publication of the task, or "".
        languages: The codes of all languages, the source language first.
        source_language: The language of the large training set.
        default_auxiliary_languages: The languages that XVL-MAML trains on unless a recipe says otherwise.
        splits: The names of all splits.
        trainer_defaults: Settings of trainers, by the trainer's name; those of a recipe take precedence.
        Settings: The task's settings in a recipe.
        implementation: Where the task's class is, as "module:Class"; only a specification has it.
    """

    name: ClassVar[str]
    summary: ClassVar[str] = ""
    licence: ClassVar[str] = ""
    citation: ClassVar[str] = ""
    languages: tuple[str, ...]
    source_language: str = "en"
    default_auxiliary_languages: tuple[str, ...]
    splits: tuple[str, ...]
    trainer_defaults: ClassVar[dict[str, dict[str, Any]]] = {}
    Settings: ClassVar[type[TaskSettings]] = TaskSettings
    implementation: ClassVar[str]

    @classmethod
    def for_settings(cls, settings: TaskSettings) -> type[Self]:
        """Return the specification with the facts that the task has with some settings.

        Args:
            settings: An instance of `Settings`.

        Returns:
            A class with the facts as attributes; the class itself, unless a subclass defines it otherwise.

        Raises:
            UserError: The settings name data that are missing or damaged.
        """
        return cls


class IGLUESpec(TaskSpec):
    """The facts about an IGLUE task that a recipe needs, read from task_configs/.

    Attributes:
        config: All facts about the task.
    """

    config: ClassVar[IGLUEConfig]
