"""Which changes of a recipe mean something for the stage before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from iglue_plugins import registry
from iglue_plugins.recipes.reading import SECTIONS

# The stage before has these from the recipe after it, or they are each recipe's own.
NOT_INHERITED = {"name", "start_from", "start_from_settings", "seed", "runs", "evaluation", "limit"}


def is_of_trainer(override: str) -> bool:
    """Tell whether an override changes a setting of the trainer, or the trainer itself."""
    return _key(override)[0] == "trainer"


def applied(overrides: Sequence[str], trainer: str) -> list[str]:
    """Choose the overrides that mean something for a recipe.

    Args:
        overrides: Overrides that reach the recipe.
        trainer: The name of its trainer.

    Returns:
        The overrides without those of settings that the trainer does not have.
    """
    fields = registry.trainers.get(trainer).Settings.model_fields
    return [override for override in overrides if not is_of_trainer(override) or _key(override)[1] in fields]


def reaches(override: str, own: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Tell whether an override of a recipe reaches the recipe that it starts from.

    Args:
        override: The override.
        own: The names of the recipe's plugins by section, as its file has them.
        before: The names of the plugins of the stage before.

    Returns:
        True for a setting of the trainer, which `applied` decides on; for one of a task or model if both recipes have
        that task or model; for languages if both have the same task.
    """
    section, _ = _key(override)
    if section in NOT_INHERITED:
        return False
    if section == "trainer":
        return True
    plugin = section if section in SECTIONS else "task"
    return own.get(plugin) == before.get(plugin)


def plugin_names(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names of the task, model and trainer in a recipe's data, by section."""
    return {section: data[section].get("name") for section in SECTIONS if isinstance(data.get(section), dict)}


def _key(override: str) -> tuple[str, str]:
    """Return the section that an override changes, and the setting in it; '' for the section as a whole."""
    section, _, rest = override.partition("=")[0].strip().partition(".")
    return section, rest.partition(".")[0]
