"""The JSON schema of recipe files, for editors."""

from __future__ import annotations

import re
from typing import Any

from iglue_plugins import registry
from iglue_plugins.recipes.adapter import AdapterSettings
from iglue_plugins.recipes.reading import SECTIONS
from iglue_plugins.recipes.recipe import Recipe


def schema() -> dict[str, Any]:
    """Describe what a recipe file may hold.

    A section is a name, or a mapping with a name and settings. In a file that extends others nothing is required.

    Returns:
        A JSON schema (draft 2020-12), with the settings of every registered task, model and trainer.
    """
    whole = Recipe.model_json_schema()
    definitions = {"Evaluation": _optional(whole["$defs"]["Evaluation"])}
    sections = {section: _section(getattr(registry, f"{section}s"), definitions) for section in SECTIONS}
    text_or_list = [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]
    extends = {"anyOf": text_or_list, "description": "The recipe files to start from, relative to this one."}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "iglue_plugins recipe",
        "type": "object",
        "properties": {"extends": extends, **whole["properties"], **sections},
        "additionalProperties": False,
        "anyOf": [{"required": ["extends"]}, {"required": list(SECTIONS)}],
        "$defs": definitions,
    }


def _section(plugins: registry.Registry, definitions: dict[str, Any]) -> dict[str, Any]:
    """Describe a section, and add the schemas that its settings refer to to `definitions`."""
    mappings = []
    for name in plugins:
        prefix = re.sub(r"\W", "_", f"{plugins.kind}_{name}_")
        settings = plugins.get(name).Settings.model_json_schema(ref_template=f"#/$defs/{prefix}{{model}}")
        definitions.update({f"{prefix}{key}": value for key, value in settings.pop("$defs", {}).items()})
        settings["properties"] = {"name": {"const": name}, **settings.get("properties", {})}
        if plugins is registry.models:
            definitions["Adapter"] = AdapterSettings.model_json_schema()
            nothing_or_adapter = [{"type": "null"}, {"$ref": "#/$defs/Adapter"}]
            settings["properties"]["adapter"] = {"anyOf": nothing_or_adapter, "default": None}
            settings["properties"]["freeze"] = {
                "type": "array",
                "items": {"type": "string"},
                "default": [],
                "description": "Modules and parameters that are not trained, by name; * stands for any part.",
            }
        mappings.append(_optional(settings))
    return {"anyOf": [{"type": "string", "enum": plugins.names()}, *mappings]}


def _optional(mapping: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a mapping without its list of required keys."""
    return {key: value for key, value in mapping.items() if key != "required"}
