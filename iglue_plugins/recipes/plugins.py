"""What a recipe reads from the classes that tasks, trainers and models register."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import BaseModel


class RegisteredPlugin(Protocol):
    """The facts of any registered class."""

    @property
    def Settings(self) -> type[BaseModel]:
        """The plugin's settings in a recipe."""


class RegisteredTask(RegisteredPlugin, Protocol):
    """The facts of a task, which `iglue_plugins.tasks.spec.TaskSpec` describes."""

    @property
    def languages(self) -> tuple[str, ...]:
        """The codes of all languages."""

    @property
    def source_language(self) -> str:
        """The language of the large training set."""

    @property
    def default_auxiliary_languages(self) -> tuple[str, ...]:
        """The auxiliary languages of a recipe that names none."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of all splits."""

    @property
    def trainer_defaults(self) -> Mapping[str, dict[str, Any]]:
        """Settings of trainers, by the name of the trainer."""


class RegisteredTrainer(RegisteredPlugin, Protocol):
    """The facts of a trainer, which `iglue_plugins.trainers.spec.TrainerSpec` describes."""

    @property
    def starts_from(self) -> str:
        """The value of `start_from` in a recipe that has none."""

    @property
    def trains_on(self) -> str:
        """The languages that the training examples are in: 'source', 'auxiliary' or 'target'."""


def task_facts(registered: Any, settings: BaseModel | None) -> RegisteredTask | None:
    """Return the facts of a task, which may depend on its settings.

    Args:
        registered: The class that the task's name leads to.
        settings: An instance of its `Settings`; None if those of the recipe have a problem.

    Returns:
        What its `for_settings` returns, or the class itself where it has none; None for facts that depend on settings
        which have a problem.

    Raises:
        UserError: The settings name data that are missing or damaged.
    """
    facts: Any = registered
    if settings is not None and hasattr(registered, "for_settings"):
        facts = registered.for_settings(settings)
    return facts if hasattr(facts, "languages") else None
