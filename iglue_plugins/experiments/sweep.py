"""One recipe with many settings: run every combination with every seed, and tabulate them beside the baseline."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from iglue_plugins.experiments.axes import LANGUAGES, Axis, check_trains_on_auxiliary, every_language, parse_axis
from iglue_plugins.experiments.compare import check_margin, console
from iglue_plugins.experiments.launcher import Launch, require_all, run_all, same_run
from iglue_plugins.recipes.recipe import Recipe, load_recipe
from iglue_plugins.reporting import chart_files, matrix_exports
from iglue_plugins.reporting.matrix import Matrix, SweepRow, build_matrix
from iglue_plugins.reporting.tables import MatrixTable
from iglue_plugins.reporting.wording import describe_matrix
from iglue_plugins.utils import distributed
from iglue_plugins.utils.errors import UserError


@dataclass(frozen=True)
class Combination:
    """One value for each swept key.

    Attributes:
        label: The row's name.
        values: Key to value, as typed.
        recipes: The recipe with these values, for each seed.
    """

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
    margin: float | None = None,
    full: bool = False,
) -> None:
    """Run a recipe with every combination of values and every seed, print the matrix of scores, and write it.

    The matrix's first row is the stage that all combinations start from, where that is one recipe.

    Args:
        path: The recipe.
        over: A `KEY=V1,V2,...` for each swept key; none sweeps `auxiliary_languages` over the languages that the task
            has auxiliary data in.
        seeds: The seeds of each combination.
        split: The split that is scored.
        overrides: `KEY.PATH=VALUE` settings for all combinations.
        output: The folder for the files.
        launch: How the runs are started.
        margin: The largest difference to the baseline that does not matter, in points; None judges by no margin.
        full: Whether all that is known stands below the table, instead of the notes.

    Raises:
        UserError: The margin is not above 0, or a combination is wrong, which is found before the first run; a run
            fails; a file cannot be written.
    """
    distributed.require_single_process("iglue sweep")
    check_margin(margin)
    overrides = [*overrides, f"evaluation.splits=[{split}]"]
    axes = [parse_axis(text) for text in over] or [every_language(load_recipe(path, overrides))]
    combinations = combine(path, axes, seeds, overrides)
    check(combinations)
    before = baseline(combinations)
    require_all(recipe for combination in combinations for recipe in combination.recipes)
    recipes = [*before, *(recipe for combination in combinations for recipe in combination.recipes)]
    folders = iter(run_all(recipes, launch))
    first = SweepRow(before[0].name, {}, tuple(itertools.islice(folders, len(before)))) if before else None
    rows = [
        SweepRow(combination.label, combination.values, tuple(itertools.islice(folders, len(seeds))))
        for combination in combinations
    ]
    evaluation = recipes[-1].evaluation
    report(build_matrix(rows, first, evaluation.scored_split(split), evaluation.languages, margin), output, full)


def combine(path: Path, axes: Sequence[Axis], seeds: Sequence[int], overrides: Sequence[str]) -> list[Combination]:
    """Load, and so check, the recipe of each combination of values.

    Args:
        path: The recipe.
        axes: The swept keys with their values.
        seeds: The seeds of each combination.
        overrides: `KEY.PATH=VALUE` settings for all combinations.

    Returns:
        The combinations; the last key's values change fastest.

    Raises:
        UserError: A key is given twice, the recipe refuses a value, or two combinations have the same settings or the
            same name.
    """
    keys = [axis.key for axis in axes]
    if repeated := [key for key in keys if keys.count(key) > 1]:
        raise UserError(
            f"--over {repeated[0]}: the key is given {keys.count(repeated[0])} times; give all its values in one --over"
        )
    combinations: list[Combination] = []
    label_of: dict[str, str] = {}  # by what makes a combination the same as another
    for values in itertools.product(*(axis.values for axis in axes)):
        chosen = [axis.override(value) for axis, value in zip(axes, values, strict=True)]
        label = ", ".join(axis.label(value) for axis, value in zip(axes, values, strict=True))
        recipes = [load_recipe(path, [*overrides, *chosen, f"seed={seed}"]) for seed in seeds]
        if LANGUAGES in keys:
            check_trains_on_auxiliary(recipes[0])
        name = f"{recipes[0].name}_{re.sub(r'[^A-Za-z0-9_.+-]+', '-', label)}"
        for same, what in ((same_run(recipes[0]), "the same settings"), (f"name {name}", f"the name '{name}'")):
            if same in label_of:
                raise UserError(f"--over: '{label}' and '{label_of[same]}' have {what}; leave one of them out")
            label_of[same] = label
        named = tuple(recipe.model_copy(update={"name": name}) for recipe in recipes)
        combinations.append(Combination(label, dict(zip(keys, values, strict=True)), named))
    return combinations


def check(combinations: Sequence[Combination]) -> None:
    """Check before any run that each combination has a target language to score.

    Args:
        combinations: All combinations.

    Raises:
        UserError: A combination lacks one.
    """
    for combination in combinations:
        recipe = combination.recipes[0]
        trained = _trained_on(recipe)
        if not set(recipe.evaluation.languages) - {recipe.source_language, *trained}:
            raise UserError(
                f"'{combination.label}': evaluation.languages leaves no target language besides source "
                f"{recipe.source_language} and auxiliary {', '.join(trained) or 'none'}"
            )


def _trained_on(recipe: Recipe) -> list[str]:
    """Return the auxiliary languages of a recipe and of the stages before it."""
    previous = recipe.previous()
    languages = recipe.auxiliary_languages if recipe.trains_on == "auxiliary" else []
    return list(dict.fromkeys([*(_trained_on(previous) if previous else []), *languages]))


def baseline(combinations: Sequence[Combination]) -> list[Recipe]:
    """Find the stage that all combinations start from.

    Args:
        combinations: All combinations.

    Returns:
        The stage's recipe for each seed; empty where the combinations start from different stages, from a checkpoint or
        from a run, or from another task.

    Raises:
        UserError: The stage has the name of a combination.
    """
    of_seeds = [
        [recipe.previous() for recipe in recipes]
        for recipes in zip(*(combination.recipes for combination in combinations), strict=True)
    ]
    task = combinations[0].recipes[0].task.name
    if any(
        stage is None or stage.task.name != task or same_run(stage) != same_run(stages[0])
        for stages in of_seeds
        for stage in stages
    ):
        return []
    first = [stage for stages in of_seeds if (stage := stages[0]) is not None]
    for combination in combinations:
        if first[0].name in (combination.label, combination.recipes[0].name):
            raise UserError(
                f"--over: '{combination.label}' and the stage before it have the same name, '{first[0].name}'; set "
                "another name in the recipe"
            )
    return first


def report(matrix: Matrix, output: Path, full: bool = False) -> None:
    """Print a sweep's matrix, and write it and its heat map into a folder.

    Args:
        matrix: The matrix.
        output: The folder, which is made if need be.
        full: Whether all that is known stands below the table, instead of the notes.

    Raises:
        UserError: A file cannot be written.
    """
    console().print(MatrixTable(matrix, full))
    for sentence in describe_matrix(matrix):
        print(sentence)
    written = [*matrix_exports.write(matrix, output, full), output / "matrix.png"]
    if not chart_files.is_drawn(matrix, written[-1]):
        from iglue_plugins.reporting.heat_map import heat_map  # imports matplotlib

        heat_map(matrix, written[-1])
    print("written:", ", ".join(str(path) for path in written))
