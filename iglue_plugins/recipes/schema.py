"""The JSON schema of recipe files, for editors."""

from __future__ import annotations

import re
from typing import Any

from iglue_plugins import registry
from iglue_plugins.recipes.reading import SECTIONS
from iglue_plugins.recipes.recipe import Recipe


def schema() -> dict[str, Any]:
    """A file's form: sections as a name or as a mapping with settings, and `extends`.

    With `extends` a section may leave out its name and whatever else the extended file has.
    """
    whole = Recipe.model_json_schema()
    definitions = {"Evaluation": _optional(whole["$defs"]["Evaluation"])}
    sections = {section: _section(getattr(registry, f"{section}s"), definitions) for section in SECTIONS}
    text_or_list = [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]
    extends = {"anyOf": text_or_list, "description": "recipe files to start from, relative to this one"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "iglue_plugins recipe",
        "type": "object",
        "properties": {"extends": extends, **whole["properties"], **sections},
        "additionalProperties": False,
        "anyOf": [{"required": ["extends"]}, {"required": list(SECTIONS)}],
        "$defs": definitions,
    }


def _section(known: registry.Registry, definitions: dict[str, Any]) -> dict[str, Any]:
    """A name or a mapping; puts what the settings refer to into `definitions`."""
    mappings = []
    for name in known:
        prefix = re.sub(r"\W", "_", f"{known.kind}_{name}_")
        settings = known.get(name).Settings.model_json_schema(ref_template=f"#/$defs/{prefix}{{model}}")
        definitions.update({f"{prefix}{key}": value for key, value in settings.pop("$defs", {}).items()})
        settings["properties"] = {"name": {"const": name}, **settings.get("properties", {})}
        mappings.append(_optional(settings))
    return {"anyOf": [{"type": "string", "enum": known.names()}, *mappings]}


def _optional(mapping: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key != "required"}
