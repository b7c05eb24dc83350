"""The JSON schema of recipe files."""

from __future__ import annotations

import json

import pytest

from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.recipes.schema import schema

pytestmark = pytest.mark.usefixtures("plugins")


def test_schema_describes_the_file_form() -> None:
    made = schema()
    assert set(made["properties"]) == {"extends", *Recipe.model_fields}
    names, finetune, meta = made["properties"]["trainer"]["anyOf"]
    assert names == {"type": "string", "enum": ["finetune", "meta"]}
    assert meta["properties"]["name"] == {"const": "meta"}
    assert finetune["properties"]["lr"]["exclusiveMinimum"] == 0
    assert meta["additionalProperties"] is False
    reference = meta["properties"]["optimiser"]["$ref"].removeprefix("#/$defs/")
    assert set(made["$defs"][reference]["properties"]) == {"betas", "weight_decay"}
    json.dumps(made)
