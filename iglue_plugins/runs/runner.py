"""From a recipe to a finished run: the one place that strings the stages together."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import PartialState
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from iglue_plugins import registry
from iglue_plugins.recipes import Recipe, load_recipe
from iglue_plugins.runs.fingerprint import fingerprint
from iglue_plugins.runs.folder import RECORD_FORMAT, TRAINING_RECORD, Run
from iglue_plugins.runs.record import Start, add_time, new_record, peak_memory_gib
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.base import LanguageAdapter, Trainer
from iglue_plugins.utils import distributed
from iglue_plugins.utils.errors import UserError, explain_write_errors
from iglue_plugins.utils.files import content_hash, sync_folder, write_atomic, write_json_atomic
from iglue_plugins.utils.threads import threads_for


def run(recipe: Recipe) -> Run:
    """Train and evaluate as the recipe says, and return the finished run.

    A finished run with the same fingerprint is returned as it is; one that was cut short is resumed. Languages and
    splits that it has no scores for are evaluated. The stage before (`start_from`) is run first, if need be.
    """
    quiet_libraries()
    distributed.init_distributed()
    task, trainer = make_task(recipe), make_trainer(recipe)
    adapts = isinstance(trainer, LanguageAdapter)
    if adapts:  # what is not there is better missed now than after the stage before
        check_examples(recipe)
    start = starting_point(recipe)
    identity = recipe.runs, recipe.name, fingerprint(recipe, start.fingerprint, task.fingerprint())
    with locked_run(Run.open(*identity)):
        run = Run.open(*identity)  # again, since another process may have finished one under another name
        record = run.latest_record() or new_record(
            recipe, run, start, trainer.labels_per_step(task, len(recipe.auxiliary_languages)))
        missing = _missing(recipe, run, task, record)
        if missing and adapts:
            _adapt_and_evaluate(recipe, run, task, trainer, start, record)
        elif missing:
            model, tokenizer = _trained_model(recipe, run, task, start, record)
            _evaluate(recipe, run, task, model, tokenizer, record, missing)
        if distributed.is_main_process() and (missing or not run.is_finished):
            run.write_record(record)
    return run


def finished(recipe: Recipe) -> Run | None:
    """The run that `run` would return as it is; None where something is left to do for it or for a stage before it."""
    previous = recipe.previous()
    if previous is not None and finished(previous) is None:
        return None
    task, start = make_task(recipe), starting_point(recipe)
    run = Run.open(recipe.runs, recipe.name, fingerprint(recipe, start.fingerprint, task.fingerprint()))
    return run if run.is_finished and not _missing(recipe, run, task, run.record()) else None


def check_examples(recipe: Recipe) -> None:
    """Raise a UserError where the task lacks the examples that the trainer takes, but for the source language's."""
    task, trainer = make_task(recipe), make_trainer(recipe)
    if isinstance(trainer, LanguageAdapter):
        for language in _targets(recipe):
            trainer.check(task, language)
    elif trainer.trains_on == "auxiliary":
        for language in recipe.auxiliary_languages:
            task.load(task.training_splits["auxiliary"], language)


def evaluate(folder: Path, splits: Sequence[str] = (), languages: Sequence[str] = ()) -> Run:
    """Add scores of more splits or languages to a finished run; by default of those that its recipe names.

    Raises:
        UserError: the folder holds no finished run, or one that keeps no model.
    """
    quiet_libraries()
    distributed.init_distributed()
    run = Run(folder)
    if run.record() is None:
        raise UserError(f"{folder}: found no record.json, expected the folder of a finished run")
    if not run.model_dir.is_dir():
        raise UserError(f"{folder}: found no model, expected a run that keeps one; a trainer that adapts to each "
                        "language does not, so run its recipe with other evaluation.languages instead")
    chosen = {"splits": splits, "languages": languages}
    recipe = load_recipe(run.recipe_path, [
        f"evaluation.{key}=[{', '.join(values)}]" for key, values in chosen.items() if values])
    task = make_task(recipe)
    with locked_run(run):
        record = run.latest_record()
        if missing := _missing(recipe, run, task, record):
            model, tokenizer = load_model(recipe, run.model_dir)
            _evaluate(recipe, run, task, model, tokenizer, record, missing)
            if distributed.is_main_process():
                run.write_record(record)
    return run


@contextmanager
def locked_run(run: Run) -> Iterator[None]:
    """The main process locks the run for all of its own, and clears up after one that was killed."""
    with run.lock() if distributed.is_main_process() else nullcontext():
        if distributed.is_main_process():
            run.remove_stale_files()
        distributed.barrier()
        with explain_write_errors(run.folder, only_writes=False):
            yield
        distributed.barrier()


def make_task(recipe: Recipe) -> Task:
    """The recipe's task; runs of one process share it, and with it the examples and regions that it holds."""
    return _task(recipe.task.name, json.dumps(recipe.task.settings, sort_keys=True))


@lru_cache(maxsize=4)
def _task(name: str, settings: str) -> Task:
    cls = registry.tasks.get(name)
    return cls(cls.Settings.model_validate_json(settings))


def make_trainer(recipe: Recipe) -> Trainer:
    cls, settings = recipe.plugin("trainer")
    return cls(settings)


def starting_point(recipe: Recipe) -> Start:
    """The checkpoint that `start_from` names; the stage before is run if it has not been."""
    if recipe.start_from == "model":
        return Start(fingerprint=model_fingerprint(recipe))
    previous = recipe.previous()
    if previous is not None:
        return _from_run(run(previous))
    path = Path(recipe.start_from)
    if Run(path).is_finished:
        return _from_run(Run(path))
    if not (path / "config.json").is_file() and not (path.suffix == ".bin" and path.is_file()):
        raise UserError(f"start_from: found '{path}', expected a recipe (.yaml), the folder of a finished run, a "
                        "checkpoint folder with config.json, or a .bin of VOLTA's")
    return Start(path, checkpoint_hash(path))


def model_fingerprint(recipe: Recipe) -> str | None:
    """Of the model's own weights: the content of a local checkpoint; a hub id and its revision stand for themselves."""
    cls, settings = recipe.plugin("model")
    own = cls(settings).settings
    source = getattr(own, "checkpoint", None) or getattr(own, "text_weights", None)
    return checkpoint_hash(Path(source)) if source and Path(source).exists() else None


def checkpoint_hash(path: Path) -> str:
    """Of a folder's content, or of the files that make up a model of VOLTA's."""
    if path.suffix != ".bin":
        return content_hash(path)
    from iglue_plugins.models.volta import volta_files

    return hashlib.sha256("".join(map(content_hash, volta_files(path))).encode()).hexdigest()


def _from_run(previous: Run) -> Start:
    record = previous.record()
    if not previous.model_dir.is_dir():
        raise UserError(f"start_from: found {previous.folder}, which has a model for each language and keeps none, "
                        "expected a run of another trainer")
    return Start(previous.model_dir, record["fingerprint"], tuple(record["training_languages"]))


def _missing(recipe: Recipe, run: Run, task: Task, record: dict[str, Any]) -> list[tuple[str, str]]:
    """Splits and languages that have no scores in the record, whose predictions are gone, or whose data have changed."""
    return [(split, language) for split in recipe.evaluation.splits for language in recipe.evaluation.languages
            if language not in record["scores"].get(split, {}) or not run.predictions_path(split, language).is_file()
            or record.get("data", {}).get(split, {}).get(language) != task.evaluation_fingerprint(split, language)]


def _trained_model(
    recipe: Recipe, run: Run, task: Task, start: Start, record: dict[str, Any]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The run's model: loaded if its training is finished, otherwise trained (from its last checkpoint) and saved."""
    if run.model_dir.is_dir():
        return load_model(recipe, run.model_dir)
    began = time.monotonic()
    torch.manual_seed(recipe.seed)  # of the weights that the checkpoint lacks, or of all where there is none
    model, tokenizer = load_model(recipe, start.checkpoint)
    if distributed.is_main_process():
        text = yaml.safe_dump(recipe.to_dict(), sort_keys=False, allow_unicode=True)
        write_atomic(run.recipe_path, text.encode())
        print(f"training {recipe.name} (seed {recipe.seed}): {recipe.trainer.name}, {run.folder}", file=sys.stderr)
    training = make_trainer(recipe).fit(
        model, tokenizer, task, source_language=recipe.source_language,
        auxiliary_languages=tuple(recipe.auxiliary_languages), seed=recipe.seed, folder=run.folder)
    add_time(record, "training_seconds", began)
    record["steps"] = training.steps
    if training.best:
        record["validation"] = training.best
    if training.learned:
        record["learned"] = training.learned
    if distributed.is_main_process():
        _save_model(run, model, tokenizer, record)
    return model, tokenizer


def _save_model(
    run: Run, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, record: dict[str, Any]
) -> None:
    """The model's folder is whole once it has its name, and never lacks what is known of its training."""
    unfinished = run.folder / "model.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    write_json_atomic(unfinished / TRAINING_RECORD, {**record, "format": RECORD_FORMAT})
    sync_folder(unfinished)
    unfinished.rename(run.model_dir)
    run.remove_stale_files()


def _targets(recipe: Recipe) -> list[str]:
    """The evaluated languages that a LanguageAdapter adapts to."""
    return [language for language in recipe.evaluation.languages if language != recipe.source_language]


def _adapt_and_evaluate(
    recipe: Recipe, run: Run, task: Task, trainer: LanguageAdapter, start: Start, record: dict[str, Any]
) -> None:
    """A language at a time: adapt, evaluate on every split that lacks it, and let the model go."""
    missing = _missing(recipe, run, task, record)
    for language in dict.fromkeys(language for _, language in missing):
        began, folder = time.monotonic(), run.adapted_dir / language
        load = partial(load_model, recipe, start.checkpoint)
        if language == recipe.source_language:
            torch.manual_seed(recipe.seed)
            model, tokenizer = load()
            model.set_head(task.head, task.num_labels)
        else:
            if distributed.is_main_process():
                print(f"adapting {recipe.name} (seed {recipe.seed}) to {language}: {recipe.trainer.name}, {folder}",
                      file=sys.stderr)
            torch.manual_seed(recipe.seed)
            adapted = trainer.adapt(load, task, language, source_language=recipe.source_language, seed=recipe.seed,
                                    folder=folder)
            model, tokenizer = adapted.model, adapted.tokenizer
            record.setdefault("adaptation", {"summary": trainer.summary, "languages": {}})
            record["adaptation"]["languages"][language] = adapted.notes
            record["steps"] = max(record["steps"], adapted.notes["steps"])
        add_time(record, "training_seconds", began)
        _evaluate(recipe, run, task, model, tokenizer, record, [key for key in missing if key[1] == language])
        if distributed.is_main_process():
            shutil.rmtree(folder, ignore_errors=True)


def load_model(recipe: Recipe, checkpoint: Path | None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The recipe's model with a checkpoint's weights and tokeniser, or with its own."""
    cls, settings = recipe.plugin("model")
    if checkpoint is not None:
        if "checkpoint" not in cls.Settings.model_fields:
            raise UserError(f"model {recipe.model.name}: its Settings have no 'checkpoint', so it cannot start from "
                            f"{checkpoint}")
        has_own = (checkpoint / "tokenizer_config.json").is_file()  # a .bin of VOLTA's has none
        tokenizer = None if has_own else getattr(settings, "tokenizer", None)
        settings = settings.model_copy(update={"checkpoint": str(checkpoint), "revision": None, "tokenizer": tokenizer})
    try:
        return cls(settings).load()
    except UserError as error:
        if checkpoint is None or not (checkpoint / TRAINING_RECORD).is_file():
            raise
        raise UserError(f"{error}; if it is damaged, delete {checkpoint.parent} and run again") from error


def _evaluate(
    recipe: Recipe, run: Run, task: Task, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase,
    record: dict[str, Any], missing: list[tuple[str, str]],
) -> None:
    """Fill in missing scores, (split, language) each; predictions are written as soon as they are there."""
    record["main_metric"] = task.main_metric
    record["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    model.to(PartialState().device, getattr(torch, recipe.evaluation.precision))
    if recipe.evaluation.compile:
        model.compile(dynamic=True)
    with threads_for(model):
        for split, language in missing:
            began = time.monotonic()
            rows, scores = task.evaluate(model, tokenizer, split, language, recipe.evaluation.batch_size)
            record["scores"].setdefault(split, {})[language] = {**scores, "examples": len(rows)}
            record.setdefault("data", {}).setdefault(split, {})[language] = task.evaluation_fingerprint(split, language)
            add_time(record, "evaluation_seconds", began)
            record["timings"]["peak_memory_gib"] = peak_memory_gib()
            if distributed.is_main_process():
                run.write_predictions(split, language, rows)
                run.write_partial_record(record)


def quiet_libraries() -> None:
    """Libraries' own bars and notices would bury the run's."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
