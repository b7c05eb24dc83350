"""The key `freeze` of a recipe's model, which any registered model has."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml

from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.recipes.schema import schema

pytestmark = pytest.mark.usefixtures("plugins")

FROZEN = """
task: nli
model: {name: tiny, layers: 3, freeze: [encoder.layers.0]}
trainer: meta
"""


def test_the_model_does_not_see_it_and_the_stage_before_has_it(write: Callable[..., str]) -> None:
    recipe = load_recipe(write(FROZEN))
    assert recipe.model.settings == {"layers": 3}
    assert recipe.model.freeze == ("encoder.layers.0",)
    assert recipe.previous().model == recipe.model
    assert load_recipe(write(yaml.safe_dump(recipe.to_dict()), "again.yaml")).model == recipe.model
    thawed = load_recipe(write(FROZEN), ["model.freeze=[]"])
    assert thawed.model.freeze == () and "freeze" not in thawed.to_dict()["model"]


def test_problems(write: Callable[..., str], problems: Callable[..., list[str]]) -> None:
    file = write(FROZEN)
    (found,) = problems(file, "model.freeze=encoder")
    assert found.startswith(
        "override 'model.freeze=encoder': model.freeze: found 'encoder', expected a list of modules"
    )
    (found,) = problems(write(FROZEN + "\n", "both.yaml"), "model.adapter={type: lora}")
    assert "model.freeze: an adapter freezes all weights but its own and the heads" in found


def test_the_schema_has_it() -> None:
    settings = schema()["properties"]["model"]["anyOf"][1]["properties"]
    assert settings["freeze"]["type"] == "array"
