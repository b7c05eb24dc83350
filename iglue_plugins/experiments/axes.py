"""What a sweep varies: a key of a recipe, and the values that it takes in turn."""

from __future__ import annotations

import re
from dataclasses import dataclass

from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs import preflight
from iglue_plugins.runs.plugins import make_task
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.languages import JOIN
from iglue_plugins.utils.lines import say

LANGUAGES = "auxiliary_languages"
SOURCES = "source_language"
SHARED = {  # keys that are the same in all rows, and what to use instead
    "name": "the rows' own names",
    "seed": "--seeds",
    "evaluation": "--split or --set",
    "runs": "--set",
    "extends": "another recipe",
    "task.name": "a sweep for each task",
}


@dataclass(frozen=True)
class Axis:
    """A key of a recipe and the values that it takes in turn.

    Attributes:
        key: The key's path, such as `trainer.inner_lr`.
        values: The values as they were typed. Of languages, "tr+ru" is one value, two languages together.
    """

    key: str
    values: tuple[str, ...]

    def override(self, value: str) -> str:
        """Return the override that gives a recipe one of the values."""
        return f"{self.key}=[{value.replace(JOIN, ',')}]" if _is_languages(self.key) else f"{self.key}={value}"

    def label(self, value: str) -> str:
        """Return what a row's name says of one of the values."""
        return value if _is_languages(self.key) else f"{self.key.rpartition('.')[2]}={value}"


def _is_languages(key: str) -> bool:
    return key in (LANGUAGES, SOURCES)


def parse_axis(text: str) -> Axis:
    """Read a swept key and its values.

    Args:
        text: `KEY=V1,V2,...`; commas in brackets belong to a value.

    Returns:
        The key with its values.

    Raises:
        UserError: There is no key or no value, a value is there twice, or all rows of a matrix share the key.
    """
    key, equals, values = text.partition("=")
    found = [value.strip() for value in re.split(r",(?![^\[]*\])", values)]
    if not equals or not key or not all(part for value in found for part in value.split(JOIN)):
        raise UserError(f"--over: '{text}' is not of the form KEY=V1,V2,... such as {LANGUAGES}=tr,ru")
    shared = "task.name" if key == "task" else key if key in SHARED else key.partition(".")[0]
    if shared in SHARED:
        raise UserError(f"--over {key}: all rows of a sweep share this key; use {SHARED[shared]} instead")
    distinct: dict[object, str] = {}
    for value in found:
        content = frozenset(value.split(JOIN)) if _is_languages(key) else value
        if content in distinct:
            raise UserError(f"--over {key}: '{value}' is the same as '{distinct[content]}'; give each value once")
        distinct[content] = value
    return Axis(key, tuple(found))


def every_language(recipe: Recipe) -> Axis:
    """Make an axis of all languages but the sources that the recipe's task has auxiliary data in.

    Languages without data are named on standard error.

    Args:
        recipe: The recipe that is swept.

    Returns:
        The axis over `auxiliary_languages`.

    Raises:
        UserError: The trainer does not train on auxiliary languages, or there is no such language.
    """
    check_trains_on_auxiliary(recipe)
    found, lacking = [], {}
    for language in make_task(recipe).languages:
        if language in recipe.source_languages:
            continue
        try:
            preflight.check_examples(recipe.model_copy(update={LANGUAGES: [language]}))
            found.append(language)
        except UserError as error:
            lacking[language] = error
    if not found:
        raise UserError(
            f"{LANGUAGES}: there are no data to train on in any of {', '.join(lacking)}: "
            f"{next(iter(lacking.values()), 'the task has no target language')}"
        )
    if lacking:
        say(f"iglue: left out, for want of auxiliary data: {', '.join(lacking)}")
    return Axis(LANGUAGES, tuple(found))


def check_trains_on_auxiliary(recipe: Recipe) -> None:
    """Check that a recipe's trainer trains on auxiliary languages.

    Args:
        recipe: The recipe.

    Raises:
        UserError: It does not.
    """
    if recipe.trains_on != "auxiliary":
        raise UserError(
            f"{LANGUAGES}: the trainer {recipe.trainer.name} does not train on auxiliary languages; sweep another "
            "recipe, or another key by --over"
        )
