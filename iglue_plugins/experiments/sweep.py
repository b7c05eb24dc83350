"""One recipe with many settings: run every combination with every seed, and tabulate them beside the baseline."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from iglue_plugins.experiments.compare import console
from iglue_plugins.experiments.launcher import Launch, run_all, same_run
from iglue_plugins.recipes.recipe import Recipe, load_recipe
from iglue_plugins.reporting import heat_map, matrix_exports
from iglue_plugins.reporting.matrix import Matrix, SweepRow, build_matrix
from iglue_plugins.reporting.tables import MatrixTable
from iglue_plugins.reporting.wording import describe_matrix
from iglue_plugins.runs import runner
from iglue_plugins.utils import distributed
from iglue_plugins.utils.errors import UserError

LANGUAGES = "auxiliary_languages"
JOIN = "+"  # between languages that are trained on together
SHARED = {  # keys that are the same in all rows, and what to use instead
    "name": "the rows' own names",
    "seed": "--seeds",
    "evaluation": "--split or --set",
    "runs": "--set",
    "source_language": "--set",
    "extends": "another recipe",
    "task.name": "a sweep for each task",
}


@dataclass(frozen=True)
class Axis:
    """A key of the recipe and the values, as given, that it takes in turn."""

    key: str
    values: tuple[str, ...]

    def override(self, value: str) -> str:
        return f"{self.key}=[{value.replace(JOIN, ',')}]" if self.key == LANGUAGES else f"{self.key}={value}"

    def label(self, value: str) -> str:
        return value if self.key == LANGUAGES else f"{self.key.rpartition('.')[2]}={value}"


@dataclass(frozen=True)
class Combination:
    """A value for each key, and the recipe that has them for each seed."""

    label: str
    values: dict[str, str]
    recipes: tuple[Recipe, ...]


def sweep(
    path: Path,
    over: Sequence[str],
    seeds: Sequence[int],
    split: str,
    overrides: Sequence[str],
    output: Path,
    launch: Launch,
) -> None:
    """A matrix with a row for each combination of values (KEY=V1,V2,... each), run with every seed.

    Without `over`, for each target language of the task that has auxiliary data. The first row is the stage that all
    combinations start from, where it is one recipe.
    """
    distributed.require_single_process("iglue sweep")
    overrides = [*overrides, f"evaluation.splits=[{split}]"]
    axes = [parse_axis(text) for text in over] or [every_language(load_recipe(path, overrides))]
    combinations = combine(path, axes, seeds, overrides)
    check(combinations)
    before = baseline(combinations)
    recipes = [*before, *(recipe for combination in combinations for recipe in combination.recipes)]
    folders = iter(run_all(recipes, launch))
    first = SweepRow(before[0].name, {}, tuple(itertools.islice(folders, len(before)))) if before else None
    rows = [
        SweepRow(combination.label, combination.values, tuple(itertools.islice(folders, len(seeds))))
        for combination in combinations
    ]
    report(build_matrix(rows, first, split, recipes[-1].evaluation.languages), output)


def parse_axis(text: str) -> Axis:
    """KEY=V1,V2,...; commas in brackets belong to a value.

    Raises:
        UserError: no key or value, a value twice, or a key that rows share.
    """
    key, equals, values = text.partition("=")
    found = [value.strip() for value in re.split(r",(?![^\[]*\])", values)]
    if not equals or not key or not all(part for value in found for part in value.split(JOIN)):
        raise UserError(f"--over: found '{text}', expected KEY=V1,V2,... such as {LANGUAGES}=tr,ru")
    shared = "task.name" if key == "task" else key if key in SHARED else key.partition(".")[0]
    if shared in SHARED:
        raise UserError(f"--over {key}: found a key that all rows share, expected {SHARED[shared]}")
    distinct: dict[object, str] = {}
    for value in found:
        content = frozenset(value.split(JOIN)) if key == LANGUAGES else value
        if content in distinct:
            raise UserError(f"--over {key}: found '{value}' after '{distinct[content]}', expected each value once")
        distinct[content] = value
    return Axis(key, tuple(found))


def every_language(recipe: Recipe) -> Axis:
    """The auxiliary languages that the recipe's task has data in, but the source language; those without are named.

    Raises:
        UserError: the trainer does not train on auxiliary languages, or there is no such language.
    """
    _check_trains_on_auxiliary(recipe)
    found, lacking = [], {}
    for language in runner.make_task(recipe).languages:
        if language == recipe.source_language:
            continue
        try:
            runner.check_examples(recipe.model_copy(update={LANGUAGES: [language]}))
            found.append(language)
        except UserError as error:
            lacking[language] = error
    if not found:
        raise UserError(
            f"{LANGUAGES}: found no data to train on in any of {', '.join(lacking)}: "
            f"{next(iter(lacking.values()), 'the task has no target language')}"
        )
    if lacking:
        print(f"iglue: left out, for want of auxiliary data: {', '.join(lacking)}", file=sys.stderr)
    return Axis(LANGUAGES, tuple(found))


def _check_trains_on_auxiliary(recipe: Recipe) -> None:
    if recipe.trains_on != "auxiliary":
        raise UserError(
            f"{LANGUAGES}: found trainer {recipe.trainer.name}, which does not train on them, expected "
            "another recipe, or --over with another key"
        )


def combine(path: Path, axes: Sequence[Axis], seeds: Sequence[int], overrides: Sequence[str]) -> list[Combination]:
    """Every combination of the axes' values, each loaded, and so checked, as a recipe of its own.

    Raises:
        UserError: a key given twice, a value that the recipe refuses, or two combinations that are the same or would
            have the same name.
    """
    keys = [axis.key for axis in axes]
    if repeated := [key for key in keys if keys.count(key) > 1]:
        raise UserError(f"--over {repeated[0]}: found it {keys.count(repeated[0])} times, expected all values in one")
    combinations: list[Combination] = []
    known: dict[str, str] = {}
    for values in itertools.product(*(axis.values for axis in axes)):
        chosen = [axis.override(value) for axis, value in zip(axes, values)]
        label = ", ".join(axis.label(value) for axis, value in zip(axes, values))
        recipes = [load_recipe(path, [*overrides, *chosen, f"seed={seed}"]) for seed in seeds]
        if LANGUAGES in keys:
            _check_trains_on_auxiliary(recipes[0])
        name = f"{recipes[0].name}_{re.sub(r'[^A-Za-z0-9_.+-]+', '-', label)}"
        for same, what in ((same_run(recipes[0]), "the same settings"), (f"name {name}", f"the name '{name}'")):
            if same in known:
                raise UserError(f"--over: found '{label}' and '{known[same]}', which have {what}, expected others")
            known[same] = label
        named = tuple(recipe.model_copy(update={"name": name}) for recipe in recipes)
        combinations.append(Combination(label, dict(zip(keys, values)), named))
    return combinations


def check(combinations: Sequence[Combination]) -> None:
    """Better now than after some of the runs: examples to train on, and languages to score that are not trained on."""
    for combination in combinations:
        recipe = combination.recipes[0]
        runner.check_examples(recipe)
        trained = _trained_on(recipe)
        if not set(recipe.evaluation.languages) - {recipe.source_language, *trained}:
            raise UserError(
                f"'{combination.label}': evaluation.languages leaves no target language besides source "
                f"{recipe.source_language} and auxiliary {', '.join(trained) or 'none'}"
            )


def _trained_on(recipe: Recipe) -> list[str]:
    """The auxiliary languages of the recipe and of the stages before it."""
    previous = recipe.previous()
    own = recipe.auxiliary_languages if recipe.trains_on == "auxiliary" else []
    return list(dict.fromkeys([*(_trained_on(previous) if previous else []), *own]))


def baseline(combinations: Sequence[Combination]) -> list[Recipe]:
    """The stage before, for each seed; empty unless it is a recipe for the same task, one for all combinations.

    Raises:
        UserError: it has the label of a combination.
    """
    of_seeds = [[recipe.previous() for recipe in recipes] for recipes in zip(*(row.recipes for row in combinations))]
    task = combinations[0].recipes[0].task.name
    if any(
        stage is None or stage.task.name != task or same_run(stage) != same_run(stages[0])
        for stages in of_seeds
        for stage in stages
    ):
        return []
    first = [stages[0] for stages in of_seeds]
    for combination in combinations:
        if first[0].name in (combination.label, combination.recipes[0].name):
            raise UserError(
                f"--over: found the name '{first[0].name}' of the stage before for '{combination.label}', "
                "expected another; set name in the recipe"
            )
    return first


def report(matrix: Matrix, output: Path) -> None:
    """Print the table, and write it to the folder."""
    console().print(MatrixTable(matrix))
    for sentence in describe_matrix(matrix):
        print(sentence)
    written = [*matrix_exports.write(matrix, output), output / "matrix.png"]
    heat_map.heat_map(matrix, written[-1])
    print("written:", ", ".join(str(path) for path in written))
