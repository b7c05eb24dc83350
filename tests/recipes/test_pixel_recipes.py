"""The recipes of the mini benchmark from pixels."""

from __future__ import annotations

from pathlib import Path

import pytest

from iglue_plugins.recipes.recipe import load_recipe

ROOT = Path(__file__).parents[2]
MINI = ("xvnli", "xgqa", "marvl", "xflickrco")


@pytest.mark.parametrize("task", MINI)
def test_the_recipes_from_pixels_are_those_from_regions_with_another_model(task: str) -> None:
    folder = ROOT / "recipes/mini" / task
    from_pixels = sorted((folder / "siglip").iterdir())
    names = ["auxiliary_finetune", "finetune", "xvl_maml", "xvl_maml_inner_lr_0"]
    assert [path.stem for path in from_pixels] == names
    for path in from_pixels:
        pixels, regions = load_recipe(path).to_dict(), load_recipe(folder / path.name).to_dict()
        assert {key for key in pixels if pixels[key] != regions[key]} == {"model"}
        assert pixels["model"]["name"] == "mini/siglip"
