"""The key `adapter` of a recipe's model, which any registered model has."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.recipes.schema import schema

pytestmark = pytest.mark.usefixtures("plugins")

ADAPTED = """
task: nli
model: {name: tiny, layers: 3, adapter: {type: lora, r: 4}}
trainer: meta
"""


def test_the_model_does_not_see_it(write: Callable[..., str]) -> None:
    recipe = load_recipe(write(ADAPTED), ["model.adapter.dropout=0.1"])
    assert recipe.model.settings == {"layers": 3}
    assert recipe.plugin("model")[1].layers == 3
    adapter = recipe.model.adapter
    assert (adapter.type, adapter.r, adapter.dropout, adapter.target_modules) == ("lora", 4, 0.1, "all-linear")
    assert recipe.previous().model == recipe.model, "the stage before has it too"


def test_a_resolved_recipe_can_be_read_again(write: Callable[..., str]) -> None:
    import yaml

    recipe = load_recipe(write(ADAPTED))
    assert load_recipe(write(yaml.safe_dump(recipe.to_dict()), "again.yaml")).model == recipe.model
    plain = load_recipe(write(ADAPTED), ["model.adapter=null"])
    assert plain.model.adapter is None and "adapter" not in plain.to_dict()["model"]
    assert load_recipe(write(ADAPTED), ["model=tiny"]).model.adapter is not None, "the settings of one model merge"


def test_problems(write: Callable[..., str], problems: Callable[..., list[str]]) -> None:
    file = write(ADAPTED)
    for override, problem in {
        "model.adapter=lora": "model.adapter: found 'lora', expected a mapping such as {type: lora, r: 8}",
        "model.adapter.type=ia3": "model.adapter.type: found 'ia3', expected 'lora'",
        "model.adapter.rank=3": "model.adapter.rank: found an unknown key, expected a key of an adapter; choose from "
        "alpha, dropout, modules_to_save, r, rslora, target_modules, type",
        "model.adapter.r=0": "model.adapter.r: found 0, expected greater than or equal to 1",
        "model.adapter.target_modules=query": "model.adapter.target_modules: found 'query', expected 'all-linear' or a "
        "list",
        "model.adapter.alpha=.inf": "model.adapter.alpha: found inf, expected a finite number",
    }.items():
        assert problems(file, override) == [f"override '{override}': {problem}"]
    missing = write("task: nli\ntrainer: finetune\nmodel: {name: tiny, adapter: {r: 4}, depth: 1}", "missing.yaml")
    assert problems(missing) == [
        "missing.yaml: model.depth: found an unknown key, expected a key of model tiny; choose from layers",
        "missing.yaml: model.adapter.type: found nothing, expected a value, which an adapter needs",
    ]


def test_the_schema_offers_it_for_models_alone() -> None:
    made = schema()
    (_, tiny), (_, finetune, _) = (made["properties"][section]["anyOf"] for section in ("model", "trainer"))
    assert {"$ref": "#/$defs/Adapter"} in tiny["properties"]["adapter"]["anyOf"]
    assert made["$defs"]["Adapter"]["properties"]["type"]["const"] == "lora"
    assert "adapter" not in finetune["properties"]
