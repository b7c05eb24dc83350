"""What the rows of a comparison have to share, checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.reporting.results import join_names
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.languages import language_tuple


def check_rows(
    labelled: Mapping[str, Sequence[Path]],
    recipes: Mapping[str, Sequence[Recipe]],
    records: Mapping[Path, Mapping[str, Any]],
    split: str,
) -> None:
    """Check before any run that the rows can stand in one table.

    Args:
        labelled: The folders of the finished runs of each row; none for a recipe.
        recipes: The recipes of each row that is to be run, by its name.
        records: The record of each run's folder.
        split: The split that is compared.

    Raises:
        UserError: Rows differ in seeds or languages.
    """
    facts = {name: _facts_of_recipes(seeded) for name, seeded in recipes.items()}
    facts |= {
        name: _facts_of_runs([records[path] for path in paths], split) for name, paths in labelled.items() if paths
    }
    first = next(iter(labelled))
    for name, found in facts.items():
        for fact, value in found.items():
            if value != facts[first][fact]:
                raise UserError(
                    f"row '{name}' has {fact} {listed(value)}, but row '{first}' has {listed(facts[first][fact])}; "
                    "rows of one table have the same"
                )


def _facts_of_recipes(recipes: Sequence[Recipe]) -> dict[str, Any]:
    recipe = recipes[0]
    return {
        "seeds": sorted(recipe.seed for recipe in recipes),
        "languages": sorted(recipe.evaluation.languages),
    }


def _facts_of_runs(records: Sequence[Mapping[str, Any]], split: str) -> dict[str, Any]:
    record = records[0]
    return {
        "seeds": sorted(record["seed"] for record in records),
        "languages": sorted(record["scores"].get(split, {})),
    }


def listed(value: Any) -> str:
    """Name a fact of rows in a sentence: the items of a list, or 'none'.

    Args:
        value: A list, or anything else.
    """
    return join_names(value) or "none" if isinstance(value, list) else str(value)


def check_targets(recipes: Mapping[str, Sequence[Recipe]], records: Sequence[Mapping[str, Any]] = ()) -> None:
    """Check before any run that a language is left which no row is trained on.

    Args:
        recipes: The recipes of each row, by its name.
        records: The records of the finished runs that stand beside them.

    Raises:
        UserError: A recipe evaluates source and auxiliary languages only.
    """
    all_recipes = [recipe for seeded in recipes.values() for recipe in seeded]
    trained = {
        language for recipe in all_recipes if recipe.trains_on == "auxiliary" for language in recipe.auxiliary_languages
    }
    trained |= {language for record in records for language in record["training_languages"]}
    recorded = [language_tuple(record["source_language"]) for record in records]
    of_rows = [*(recipe.source_languages for recipe in all_recipes), *recorded]
    sources = dict.fromkeys(language for of_row in of_rows for language in of_row)
    for recipe in all_recipes:
        if not set(recipe.evaluation.languages) - trained - sources.keys():
            raise UserError(
                f"recipe '{recipe.name}': evaluation.languages leaves no target language besides source "
                f"{join_names(sources)} and auxiliary {join_names(sorted(trained)) or 'none'}"
            )
