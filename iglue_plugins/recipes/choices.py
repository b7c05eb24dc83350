"""The task, model and trainer that a recipe's data name, looked up and with their settings checked."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from iglue_plugins import registry
from iglue_plugins.recipes.model_keys import MODEL_KEYS, check_model_keys
from iglue_plugins.recipes.plugins import RegisteredPlugin, RegisteredTask, task_facts
from iglue_plugins.recipes.problems import Report, describe_value, validate
from iglue_plugins.utils.errors import UserError, did_you_mean


def registry_of(section: str) -> registry.Registry:
    """Return the registry of the plugins that a section names."""
    return getattr(registry, f"{section}s")


def registered(section: str, chosen: object, report: Report) -> Any:
    """Look up the class that a section names.

    Args:
        section: The section of the recipe.
        chosen: What the recipe has in it: a mapping with a name, if it is right.
        report: Takes a problem.

    Returns:
        The class; None, with a problem reported, if there is none.
    """
    if chosen is not None and not isinstance(chosen, dict):
        report((section,), f"found {describe_value(chosen)}, expected a name, or a mapping with name and settings")
        return None
    plugins = registry_of(section)
    name = (chosen or {}).get("name")
    if not isinstance(name, str):
        found = "nothing" if name is None else describe_value(name)
        hint = did_you_mean("", plugins.names())
        report((section, "name"), f"found {found}, expected the name of a {section}{hint}")
        return None
    try:
        return plugins.get(name)
    except UserError as error:
        report((section, "name"), str(error))
        return None


def task_choice(
    plugin: RegisteredPlugin | None, data: dict[str, Any], report: Report
) -> tuple[dict[str, Any], RegisteredTask | None]:
    """Make the section of the task, and find the task's facts.

    Args:
        plugin: The registered task; None if there is none.
        data: The recipe's data.
        report: Takes a problem.

    Returns:
        The section, and the facts; None, with a problem reported, if the task's settings or data have one.
    """
    choice, settings = plugin_choice("task", plugin, data, report)
    try:
        return choice, task_facts(plugin, settings) if plugin else None
    except UserError as error:
        for line in str(error).split("\n"):
            report((), line)
        return choice, None


def plugin_choice(
    section: str, plugin: RegisteredPlugin | None, data: dict[str, Any], report: Report
) -> tuple[dict[str, Any], BaseModel | None]:
    """Make a section of the resolved recipe.

    Args:
        section: The section.
        plugin: The registered class; None if there is none.
        data: The recipe's data.
        report: Takes a problem.

    Returns:
        The section, and its settings as an object; None, with a problem reported, if they have one.
    """
    if plugin is None:
        return {"name": "", "settings": {}}, None
    given = {key: value for key, value in data[section].items() if key != "name"}
    name = data[section]["name"]
    of_every_model = {key: given.pop(key) for key in MODEL_KEYS if section == "model" and key in given}
    settings = validate(plugin.Settings, given, f"{section} {name}", lambda path, text: report((section, *path), text))
    choice = {"name": name, "settings": settings.model_dump(mode="json", by_alias=True) if settings else {}}
    return choice | check_model_keys(of_every_model, report), settings
