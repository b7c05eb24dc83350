"""One recipe with many settings: run every combination with every seed, and tabulate them beside the baseline."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from iglue_plugins.experiments.axes import (
    LANGUAGES,
    SOURCES,
    Axis,
    check_trains_on_auxiliary,
    every_language,
    parse_axis,
)
from iglue_plugins.experiments.compare import check_margin, console
from iglue_plugins.experiments.launcher import Launch, launching, require_all, same_run
from iglue_plugins.recipes.recipe import Recipe, load_recipe
from iglue_plugins.reporting import chart_files, matrix_exports
from iglue_plugins.reporting.matrix import Matrix, SweepRow, build_matrix
from iglue_plugins.reporting.source_comparison import SourceComparison, compare_sources
from iglue_plugins.reporting.source_exports import SourceTable, write_sources
from iglue_plugins.reporting.tables import MatrixTable
from iglue_plugins.reporting.wording import describe_matrix
from iglue_plugins.utils import distributed
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.languages import JOIN
from iglue_plugins.utils.lines import say


@dataclass(frozen=True)
class Combination:
    """One value for each swept key.

    Attributes:
        source: The value of `source_language`, where that is swept; otherwise "".
        label: The row's name among those of its source.
        values: Key to value, as typed, without `source_language`.
        recipes: The recipe with these values, for each seed.
    """

    source: str
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

    The matrix's first row is the stage that all combinations start from, where that is one recipe. A sweep over
    `source_language` has a matrix for each source, and a table of all sources.

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
    of_source: dict[str, list[Combination]] = {}
    for combination in combinations:
        of_source.setdefault(combination.source, []).append(combination)
    before = {source: baseline(of_one) for source, of_one in of_source.items()}
    folder_of = _run_all(combinations, list(before.values()), launch)
    evaluation = combinations[-1].recipes[-1].evaluation
    split_name, languages = evaluation.scored_split(split), evaluation.languages
    matrices = {
        source: build_matrix(
            [_row(each.label, each.values, each.recipes, folder_of) for each in of_one],
            _row(before[source][0].name, {}, before[source], folder_of) if before[source] else None,
            split_name,
            languages,
            margin,
        )
        for source, of_one in of_source.items()
    }
    _report_all(matrices, output, full)


def _run_all(
    combinations: Sequence[Combination], baselines: Sequence[Sequence[Recipe]], launch: Launch
) -> dict[str, Path]:
    """Run what combinations and baselines lack, and return the folders of their runs by `same_run`."""
    combined = [recipe for combination in combinations for recipe in combination.recipes]
    recipes = [*itertools.chain.from_iterable(baselines), *combined]
    with launching(recipes, launch) as run:
        require_all(combined)
        folders = run()
    return {same_run(recipe): folder for recipe, folder in zip(recipes, folders, strict=True)}


def _report_all(matrices: Mapping[str, Matrix], output: Path, full: bool) -> None:
    """Report the matrix of each source, in a folder of its own where sources are swept, and compare several."""
    for source, matrix in matrices.items():
        report(matrix, output / f"source-{source}" if source else output, full)
    if len(matrices) > 1:
        report_sources(compare_sources(matrices), output)


def _row(label: str, values: Mapping[str, str], recipes: Sequence[Recipe], folder_of: Mapping[str, Path]) -> SweepRow:
    return SweepRow(label, values, tuple(folder_of[same_run(recipe)] for recipe in recipes))


def combine(path: Path, axes: Sequence[Axis], seeds: Sequence[int], overrides: Sequence[str]) -> list[Combination]:
    """Load, and so check, the recipe of each combination of values.

    Args:
        path: The recipe.
        axes: The swept keys with their values.
        seeds: The seeds of each combination.
        overrides: `KEY.PATH=VALUE` settings for all combinations.

    Returns:
        The combinations; the last key's values change fastest. Those in which an auxiliary language is a source
        language are left out, and named on standard error.

    Raises:
        UserError: A key is given twice, the recipe refuses a value, two combinations have the same settings or the
            same name, or none is left.
    """
    keys = [axis.key for axis in axes]
    if repeated := [key for key in keys if keys.count(key) > 1]:
        raise UserError(
            f"--over {repeated[0]}: the key is given {keys.count(repeated[0])} times; give all its values in one --over"
        )
    combinations: list[Combination] = []
    label_of: dict[str, str] = {}  # by what makes a combination the same as another
    left_out = []
    for values in itertools.product(*(axis.values for axis in axes)):
        typed = dict(zip(keys, values, strict=True))
        if _trains_on_source(typed):
            left_out.append(", ".join(values))
            continue
        chosen = [axis.override(value) for axis, value in zip(axes, values, strict=True)]
        recipes = [load_recipe(path, [*overrides, *chosen, f"seed={seed}"]) for seed in seeds]
        if LANGUAGES in keys:
            check_trains_on_auxiliary(recipes[0])
        source = typed.pop(SOURCES, "")
        labels = [axis.label(value) for axis, value in zip(axes, values, strict=True) if axis.key != SOURCES]
        label = ", ".join(labels) or recipes[0].name
        name = "_".join([recipes[0].name, *map(_slug, [source] * bool(source) + [label] * bool(labels))])
        described = f"{source}: {label}" if source else label
        for same, what in ((same_run(recipes[0]), "the same settings"), (f"name {name}", f"the name '{name}'")):
            if same in label_of:
                raise UserError(f"--over: '{described}' and '{label_of[same]}' have {what}; leave one of them out")
            label_of[same] = described
        named = tuple(recipe.model_copy(update={"name": name}) for recipe in recipes)
        combinations.append(Combination(source, label, typed, named))
    if not combinations:
        raise UserError(f"--over: every auxiliary language is a source language ({'; '.join(left_out)}); name others")
    if left_out:
        say(f"iglue: left out, since an auxiliary language is a source: {'; '.join(left_out)}")
    return combinations


def _trains_on_source(typed: Mapping[str, str]) -> bool:
    """Tell whether swept auxiliary languages and swept source languages have one in common."""
    sources, auxiliary = (set(typed[key].split(JOIN)) if key in typed else set() for key in (SOURCES, LANGUAGES))
    return bool(sources & auxiliary)


def _slug(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.+-]+", "-", label)


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
        if not set(recipe.evaluation.languages) - {*recipe.source_languages, *trained}:
            raise UserError(
                f"'{combination.label}': evaluation.languages leaves no target language besides source "
                f"{', '.join(recipe.source_languages)} and auxiliary {', '.join(trained) or 'none'}"
            )


def _trained_on(recipe: Recipe) -> list[str]:
    """Return the auxiliary languages of a recipe and of the stages before it."""
    previous = recipe.previous()
    languages = recipe.auxiliary_languages if recipe.trains_on == "auxiliary" else []
    return list(dict.fromkeys([*(_trained_on(previous) if previous else []), *languages]))


def baseline(combinations: Sequence[Combination]) -> list[Recipe]:
    """Find the stage that all combinations start from.

    Args:
        combinations: All combinations of a source.

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


def report_sources(comparison: SourceComparison, output: Path) -> None:
    """Print the table of a sweep from several sources, and write it and its heat map into a folder.

    Args:
        comparison: The comparison of the sources.
        output: The folder, which is made if need be.

    Raises:
        UserError: A file cannot be written.
    """
    console().print(SourceTable(comparison))
    written = [*write_sources(comparison, output), output / "sources.png"]
    if not chart_files.is_drawn(comparison, written[-1]):
        from iglue_plugins.reporting.source_heat_map import source_heat_map  # imports matplotlib

        source_heat_map(comparison, written[-1])
    print("written:", ", ".join(str(path) for path in written))
