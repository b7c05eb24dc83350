"""The tokenizer of a recipe's model comes from this machine, or is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from iglue_plugins.advice.tokenizers import find_tokenizer
from iglue_plugins.mini import ASSETS
from iglue_plugins.recipes.recipe import load_recipe

RECIPE = Path(__file__).parents[2] / "recipes/mini/xvnli/xvl_maml.yaml"


@pytest.mark.parametrize("recipe", [RECIPE, RECIPE.parent / "siglip/xvl_maml.yaml"])
def test_the_tokenizer_of_a_model_that_ships(recipe: Path) -> None:
    tokenizer = find_tokenizer(load_recipe(recipe))
    assert len(tokenizer("simba na paka", add_special_tokens=False).input_ids) > 1


def test_a_tokenizer_of_the_settings_comes_first() -> None:
    recipe = load_recipe(RECIPE, [f"model.tokenizer={ASSETS / 'siglip'}"])
    assert find_tokenizer(recipe).name_or_path == str(ASSETS / "siglip")


def test_a_hub_id_that_is_not_here_is_a_reason() -> None:
    reason = find_tokenizer(load_recipe(RECIPE, ["model.tokenizer=no-one/nothing"]))
    assert reason == "no tokenizer is on this machine at no-one/nothing, of which nothing is downloaded"


def test_settings_without_any_source_are_a_reason() -> None:
    reason = find_tokenizer(load_recipe(RECIPE, ["model=xuniter"]))
    assert reason == "the settings of model xuniter name no tokenizer"
