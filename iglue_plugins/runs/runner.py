"""The stages of a run, in order: the stage before, training or adaptation, evaluation, and the record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from iglue_plugins.models.volta.reading import checkpoint_hash
from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.recipes.sections import Evaluation
from iglue_plugins.runs import preflight
from iglue_plugins.runs.adaptation import adapt_and_evaluate
from iglue_plugins.runs.beginning import say_start
from iglue_plugins.runs.environment import describe_process
from iglue_plugins.runs.evaluation import evaluate_model
from iglue_plugins.runs.fingerprint import fingerprint
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.plugins import (
    load_model,
    make_task,
    make_trainer,
    model_fingerprint,
    start_checkpoint,
    start_run,
    why_without_model,
)
from iglue_plugins.runs.record import Start, new_record
from iglue_plugins.runs.sharing.card import write_card
from iglue_plugins.runs.state import RunState
from iglue_plugins.runs.tracking import track_scores
from iglue_plugins.runs.trained_model import require_model, run_recipe
from iglue_plugins.runs.training import trained_model
from iglue_plugins.runs.training_settings import training_settings
from iglue_plugins.trainers.base import LanguageAdapter
from iglue_plugins.utils import distributed
from iglue_plugins.utils.errors import UserError, explain_write_errors
from iglue_plugins.utils.lines import say
from iglue_plugins.utils.notices import quiet_libraries
from iglue_plugins.utils.progress import labelled


def run(recipe: Recipe, again: bool = False, *, checked: bool = False) -> Run:
    """Train and evaluate what a recipe describes.

    A finished run with the same fingerprint is returned as it is, which is said in a line; an interrupted one is
    resumed. Languages and splits without scores are evaluated. The stage before (`start_from`) is run first, unless it
    is finished.

    Args:
        recipe: The resolved recipe.
        again: Whether a finished run is set aside, and trained and evaluated anew. The stages before are not.
        checked: Whether `preflight` has found that nothing is lacking, and the caller runs the stages before on their
            own as well, so that nothing more is said of those that are finished. Otherwise what is lacking is looked
            for first, for all stages.

    Returns:
        The finished run.

    Raises:
        UserError: The task's data, the model or the stage before are missing or damaged, or training diverged.
    """
    quiet_libraries()
    distributed.init_distributed()
    if not checked and (stages := unfinished_stages(recipe)):
        preflight.require(stages)
    return _run(recipe, again, says_finished=True, says_finished_before=not checked)


def _run(recipe: Recipe, again: bool, says_finished: bool, says_finished_before: bool) -> Run:
    """Run a recipe, and the stages before it; say what is finished, of itself and of those before it."""
    trainer = make_trainer(recipe)
    previous = recipe.previous()
    before = None
    if previous is not None:
        before = _run(previous, False, says_finished_before, says_finished_before)
    start = _start(recipe, before)
    identity = recipe.runs, recipe.run_name, fingerprint(recipe, start.fingerprint)
    if again:
        _set_aside(recipe, Run.open(*identity))
    with locked_run(Run.open(*identity)):
        run = Run.open(*identity)  # again, since another process may have finished one under another name
        state = _state(recipe, run, start)
        missing = state.missing_scores()
        if not missing and run.is_finished:
            if says_finished:
                _say(f"{recipe.name} (seed {recipe.seed}): finished before, reused: {run.folder}")
            return run
        if distributed.is_main_process():
            run.begin(state.record)
            run.add_process(describe_process(), state.record)
            say_start(state, missing)
        is_adapting = isinstance(trainer, LanguageAdapter)
        with labelled(f"{recipe.name} (seed {recipe.seed})", start_is_said=not is_adapting):
            if isinstance(trainer, LanguageAdapter):
                adapt_and_evaluate(state, trainer, start)
            elif missing:
                evaluate_model(state, *trained_model(state, trainer, start), missing)
        if distributed.is_main_process():
            run.write_record(state.record)
            write_card(run, state.record)
            track_scores(state)
    return run


def _set_aside(recipe: Recipe, run: Run) -> None:
    """Give a finished run another name, for `--again`."""
    with locked_run(run):
        if distributed.is_main_process() and (aside := run.set_aside()):
            _say(f"{recipe.name} (seed {recipe.seed}): runs anew; the finished run is now {aside}")


def _state(recipe: Recipe, run: Run, start: Start) -> RunState:
    task, trainer, record = make_task(recipe), make_trainer(recipe), run.latest_record()
    if record is None:
        labels = trainer.labels_per_step(task, len(recipe.auxiliary_languages))
        record = new_record(recipe, run, start, labels)
    return RunState(recipe, run, task, record, trainer)


def _say(sentence: str) -> None:
    if distributed.is_main_process():
        say(sentence)


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
    before = finished(previous) if previous is not None else None
    if previous is not None and before is None:
        return None
    start = _start(recipe, before)
    run = Run.open(recipe.runs, recipe.run_name, fingerprint(recipe, start.fingerprint))
    return run if run.is_finished and not _state(recipe, run, start).missing_scores() else None


def planned_run(recipe: Recipe) -> Run:
    """Return the run that `run` would make or return, whether or not the stages before it are finished.

    Args:
        recipe: The resolved recipe.

    Returns:
        The run, whose folder need not exist.

    Raises:
        UserError: The task's data are missing or damaged, or `start_from` names nothing to start from.
    """
    previous = recipe.previous()
    before = planned_run(previous).fingerprint if previous is not None else _start(recipe, None).fingerprint
    return Run.open(recipe.runs, recipe.run_name, fingerprint(recipe, before))


def unfinished_stages(recipe: Recipe) -> list[Recipe]:
    """List the stages of a run in which something is left to do.

    Args:
        recipe: The resolved recipe.

    Returns:
        Recipes in the order of the stages, the last of them the recipe itself; empty if the run is finished. All of
        them where it cannot be told, for want of data.

    Raises:
        UserError: A record is damaged.
    """
    previous = recipe.previous()
    before = unfinished_stages(previous) if previous is not None else []
    try:
        return [] if not before and finished(recipe) is not None else [*before, recipe]
    except UserError:  # which says what is lacking less well than `preflight`
        return [*before, recipe]


def evaluate(
    folder: Path,
    splits: Sequence[str] = (),
    languages: Sequence[str] = (),
    overrides: Sequence[str] = (),
    again: bool = False,
) -> tuple[Run, Evaluation]:
    """Add scores of more splits or languages to a finished run.

    Args:
        folder: The run's folder.
        splits: The splits to evaluate; default: those of its recipe.
        languages: The languages to evaluate; default: those of its recipe.
        overrides: Other settings of the evaluation, such as `evaluation.precision=bfloat16`.
        again: Whether what is scored already is scored anew, so that its predictions have what this version knows.

    Returns:
        The run, and the settings of the evaluation, which say where its scores are.

    Raises:
        UserError: The folder holds no finished run, or one that keeps no model; the task has no such split or
            language.
    """
    quiet_libraries()
    distributed.init_distributed()
    run = Run(folder)
    run.require_record()
    model_folder = require_model(run, "run its recipe with other evaluation.languages instead")
    chosen = {"splits": splits, "languages": languages}
    listed = [f"evaluation.{key}=[{', '.join(values)}]" for key, values in chosen.items() if values]
    recipe = run_recipe(run, [*listed, *overrides])
    with locked_run(run):
        record = run.latest_record() or run.require_record()
        state = RunState(recipe, run, make_task(recipe), record, make_trainer(recipe))
        if pairs := state.asked_scores() if again else state.missing_scores():
            if distributed.is_main_process():
                run.add_process(describe_process(), record)
            evaluate_model(state, *load_model(recipe, model_folder), pairs)
            if distributed.is_main_process():
                run.write_record(state.record)
                write_card(run, state.record)
                track_scores(state)
    return run, recipe.evaluation


def _start(recipe: Recipe, before: Run | None) -> Start:
    """Return the weights that `start_from` names, given the finished run of the stage before, if that is a recipe."""
    if recipe.start_from == "model":
        return Start(fingerprint=model_fingerprint(recipe))
    if before is not None:
        return _start_of(before)
    checkpoint, named = start_checkpoint(recipe), start_run(recipe)
    assert checkpoint is not None  # start_from is not 'model'
    return _start_of(named) if named.is_finished else Start(checkpoint, checkpoint_hash(checkpoint))


def _start_of(previous: Run) -> Start:
    record = previous.require_record()
    if not previous.model_dir.is_dir():
        raise UserError(
            f"{previous.folder}: {why_without_model(previous)}, so that nothing can start from it; import it with its "
            "model, or run its recipe anew with --again"
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
        try:
            with explain_write_errors(run.folder, only_writes=False):
                yield
        except Exception as error:
            if distributed.is_main_process():
                run.note_failure(error)
            raise
        distributed.barrier()
