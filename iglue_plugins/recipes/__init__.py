"""Recipes: one YAML file a run, validated as a whole before anything starts."""

from iglue_plugins.recipes.problems import RecipeError
from iglue_plugins.recipes.recipe import Evaluation, PluginChoice, Recipe, load_recipe
from iglue_plugins.recipes.schema import schema

__all__ = ["Evaluation", "PluginChoice", "Recipe", "RecipeError", "load_recipe", "schema"]
