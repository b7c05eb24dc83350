"""The stages of a run, in order: the stage before, training or adaptation, evaluation, and the record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from iglue_plugins.recipes.recipe import Recipe, load_recipe
from iglue_plugins.runs.adaptation import adapt_and_evaluate, target_languages
from iglue_plugins.runs.evaluation import evaluate_model
from iglue_plugins.runs.fingerprint import fingerprint
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.plugins import (
    checkpoint_hash,
    load_model,
    make_task,
    make_trainer,
    model_fingerprint,
    quiet_libraries,
)
from iglue_plugins.runs.record import Start, new_record
from iglue_plugins.runs.state import RunState
from iglue_plugins.runs.training import trained_model
from iglue_plugins.runs.training_settings import training_settings
from iglue_plugins.trainers.base import LanguageAdapter
from iglue_plugins.utils import distributed
from iglue_plugins.utils.errors import UserError, explain_write_errors


def run(recipe: Recipe) -> Run:
    """Train and evaluate what a recipe describes.

    A finished run with the same fingerprint is returned as it is; an interrupted one is resumed. Languages and splits
    without scores are evaluated. The stage before (`start_from`) is run first, unless it is finished.

    Args:
        recipe: The resolved recipe.

    Returns:
        The finished run.

    Raises:
        UserError: The task's data, the model or the stage before are missing or damaged, or training diverged.
    """
    quiet_libraries()
    distributed.init_distributed()
    task, trainer = make_task(recipe), make_trainer(recipe)
    if isinstance(trainer, LanguageAdapter):  # missing data are better found now than after the stage before
        check_examples(recipe)
    start = starting_point(recipe)
    identity = recipe.runs, recipe.name, fingerprint(recipe, start.fingerprint, task.fingerprint())
    with locked_run(Run.open(*identity)):
        run = Run.open(*identity)  # again, since another process may have finished one under another name
        record = run.latest_record()
        if record is None:
            labels = trainer.labels_per_step(task, len(recipe.auxiliary_languages))
            record = new_record(recipe, run, start, labels)
        state = RunState(recipe, run, task, record)
        missing = state.missing_scores()
        if missing:
            if isinstance(trainer, LanguageAdapter):
                adapt_and_evaluate(state, trainer, start)
            else:
                evaluate_model(state, *trained_model(state, trainer, start), missing)
        if distributed.is_main_process() and (missing or not run.is_finished):
            run.write_record(record)
    return run


def finished(recipe: Recipe) -> Run | None:
    """Find the run that `run` would return without training or evaluating anything.

    Args:
        recipe: The resolved recipe.

    Returns:
        The finished run, or None if something is left to do for it or for a stage before it.

    Raises:
        UserError: The task's data or a record are damaged, or `start_from` names nothing to start from.
    """
    previous = recipe.previous()
    if previous is not None and finished(previous) is None:
        return None
    task, start = make_task(recipe), starting_point(recipe)
    run = Run.open(recipe.runs, recipe.name, fingerprint(recipe, start.fingerprint, task.fingerprint()))
    record = run.record()
    return run if record is not None and not RunState(recipe, run, task, record).missing_scores() else None


def evaluate(folder: Path, splits: Sequence[str] = (), languages: Sequence[str] = ()) -> Run:
    """Add scores of more splits or languages to a finished run.

    Args:
        folder: The run's folder.
        splits: The splits to evaluate; default: those of its recipe.
        languages: The languages to evaluate; default: those of its recipe.

    Returns:
        The run.

    Raises:
        UserError: The folder holds no finished run, or one that keeps no model; the task has no such split or
            language.
    """
    quiet_libraries()
    distributed.init_distributed()
    run = Run(folder)
    run.require_record()
    if not run.model_dir.is_dir():
        raise UserError(
            f"{folder}: keeps no model, since its trainer adapts one to each language; run its recipe with other "
            "evaluation.languages instead"
        )
    chosen = {"splits": splits, "languages": languages}
    recipe = load_recipe(
        run.recipe_path, [f"evaluation.{key}=[{', '.join(values)}]" for key, values in chosen.items() if values]
    )
    with locked_run(run):
        state = RunState(recipe, run, make_task(recipe), run.latest_record() or run.require_record())
        if missing := state.missing_scores():
            evaluate_model(state, *load_model(recipe, run.model_dir), missing)
            if distributed.is_main_process():
                run.write_record(state.record)
    return run


def check_examples(recipe: Recipe) -> None:
    """Check that the task has the examples that the recipe's trainer needs, apart from the source language's.

    Args:
        recipe: The resolved recipe.

    Raises:
        UserError: Examples are missing.
    """
    task, trainer = make_task(recipe), make_trainer(recipe)
    if isinstance(trainer, LanguageAdapter):
        for language in target_languages(recipe):
            trainer.check(task, language)
    elif trainer.trains_on == "auxiliary":
        for language in recipe.auxiliary_languages:
            task.load(task.training_splits["auxiliary"], language)


def starting_point(recipe: Recipe) -> Start:
    """Find the weights that `start_from` names; the stage before is run if it is not finished.

    Args:
        recipe: The resolved recipe.

    Returns:
        The checkpoint, its fingerprint, and the languages that it was trained on.

    Raises:
        UserError: `start_from` is not a recipe, a run with a model, or a checkpoint.
    """
    if recipe.start_from == "model":
        return Start(fingerprint=model_fingerprint(recipe))
    previous = recipe.previous()
    if previous is not None:
        return _start_of(run(previous))
    path = Path(recipe.start_from)
    if Run(path).is_finished:
        return _start_of(Run(path))
    if not (path / "config.json").is_file() and not (path.suffix == ".bin" and path.is_file()):
        raise UserError(
            f"start_from: '{path}' is not a recipe, run or checkpoint; name a recipe (.yaml), the folder of a "
            "finished run, a checkpoint folder with config.json, or a .bin of VOLTA"
        )
    return Start(path, checkpoint_hash(path))


def _start_of(previous: Run) -> Start:
    record = previous.require_record()
    if not previous.model_dir.is_dir():
        raise UserError(
            f"start_from: {previous.folder} keeps no model, since its trainer adapts one to each language; name a run "
            "of another trainer"
        )
    languages = tuple(record["training_languages"])
    return Start(previous.model_dir, record["fingerprint"], languages, training_settings(record))


@contextmanager
def locked_run(run: Run) -> Iterator[None]:
    """Lock a run for all processes that work on it, and remove what a killed process left.

    Args:
        run: The run.

    Yields:
        Nothing; the lock is held while the block runs.

    Raises:
        UserError: The run's folder cannot be written.
    """
    with run.lock():
        if distributed.is_main_process():
            run.remove_stale_files()
        distributed.barrier()
        with explain_write_errors(run.folder, only_writes=False):
            yield
        distributed.barrier()
