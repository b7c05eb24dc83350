"""Making the task, the trainer and the model that a recipe names."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from transformers import PreTrainedModel

from iglue_plugins import registry
from iglue_plugins.data.image_kind import ImageKind
from iglue_plugins.data.processors.base import Processor
from iglue_plugins.models.adapter_files import Origin, holds_adapter
from iglue_plugins.models.frozen import freeze
from iglue_plugins.models.volta.reading import checkpoint_hash
from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs.adapted_models import base_settings, load_adapted, stored_origin, weight_sources
from iglue_plugins.runs.folder import RECORD, Run
from iglue_plugins.runs.loading import load_plugin
from iglue_plugins.runs.record_file import read_record_file
from iglue_plugins.runs.sharing.download import find_run
from iglue_plugins.runs.sharing.shared_run import run_in
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.base import LanguageAdapter, Trainer
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import TRAINING_RECORD
from iglue_plugins.utils.model_sources import is_hub_uri


def make_task(recipe: Recipe) -> Task:
    """Make the recipe's task, or return the one that this process has made with equal settings.

    Runs of one process thus share the examples and regions that a task has loaded.

    Args:
        recipe: The resolved recipe.

    Returns:
        The task.
    """
    return _make_task(recipe.task.name, json.dumps(recipe.task.settings, sort_keys=True))


@lru_cache(maxsize=4)
def _make_task(name: str, settings: str) -> Task:
    cls = registry.tasks.load(name)
    return cls(cls.Settings.model_validate_json(settings))


def make_trainer(recipe: Recipe) -> Trainer | LanguageAdapter:
    """Make the recipe's trainer.

    Args:
        recipe: The resolved recipe.

    Returns:
        A trainer of one model, or an adapter that makes a model for each evaluated language.
    """
    _, settings = recipe.plugin("trainer")
    trainer: Trainer | LanguageAdapter = registry.trainers.load(recipe.trainer.name)(settings)
    trainer.limit = recipe.limit
    return trainer


def load_model(recipe: Recipe, checkpoint: Path | None) -> tuple[PreTrainedModel, Processor]:
    """Load the recipe's model.

    Args:
        recipe: The resolved recipe.
        checkpoint: The folder or VOLTA file whose weights and processor to take; None for the model's own. A folder
            that holds an adapter names those itself.

    Returns:
        The model and its processor. With an adapter in the recipe the model has that of the checkpoint, or a new one.

    Raises:
        UserError: The checkpoint is missing, damaged or of another model, its adapter is not the recipe's, or the
            plugin does not return what it should.
    """
    try:
        return _load(recipe, checkpoint)
    except UserError as error:
        if checkpoint is None or not (checkpoint / TRAINING_RECORD).is_file():
            raise
        raise UserError(f"{error}; if it is damaged, delete {checkpoint.parent} and run again") from error


def image_kind(recipe: Recipe) -> ImageKind:
    """Return what the recipe's model reads of an image, as its specification or plugin says; by default regions.

    Args:
        recipe: The resolved recipe.
    """
    reads: ImageKind = getattr(registry.models.load(recipe.model.name), "reads", "regions")
    return reads


def check_model(recipe: Recipe) -> None:
    """Check that the model which a recipe's first stage starts from can be loaded, as far as its plugin can tell.

    A plugin has a method `check` for that, which loads no weights; one without is not checked.

    Args:
        recipe: The resolved recipe, whose `start_from` is 'model', a run or a checkpoint.

    Raises:
        UserError: The checkpoint is missing, damaged or of another model.
    """
    if check := getattr(_first_plugin(recipe), "check", None):
        check()


def check_regions(recipe: Recipe, where: str, feature_size: int) -> None:
    """Check that a recipe's model reads features of the size that a store's regions have, as far as its plugin tells.

    The weights are those that the first of the recipe's stages starts from. A plugin has a method `check_regions` for
    that; one without is not checked.

    Args:
        recipe: The resolved recipe.
        where: The store, for the error.
        feature_size: The number of features of a region in it.

    Raises:
        UserError: The model reads features of another size.
    """
    first = recipe
    while (before := first.previous()) is not None:
        first = before
    if first is not recipe:
        try:
            check_model(first)
        except UserError:  # which is said of the first stage, or the first stage is finished and needs it no more
            return
    if check := getattr(_first_plugin(first), "check_regions", None):
        check(where, feature_size)


def _first_plugin(recipe: Recipe) -> Any:
    """Return the plugin of the model that a first stage starts from."""
    cls, settings, _ = _model_parts(recipe, start_checkpoint(recipe))
    return cls(settings)


def start_run(recipe: Recipe) -> Run:
    """Return the run that `start_from` names, where it names neither a recipe nor the model's own weights.

    Args:
        recipe: The resolved recipe.

    Returns:
        The run in a folder, which is not finished if it is a checkpoint's or none; or a run of a hub, which is fetched.

    Raises:
        UserError: It cannot be fetched.
    """
    start = recipe.start_from
    return _fetched(start) if is_hub_uri(start) else run_in(Path(start))


@lru_cache(maxsize=4)  # so that all parts of a run see one commit of a branch
def _fetched(uri: str) -> Run:
    try:
        return find_run(uri)
    except UserError as error:
        raise UserError(f"start_from: {error}") from error


def start_checkpoint(recipe: Recipe) -> Path | None:
    """Find the weights that `start_from` names, where it names no recipe.

    Args:
        recipe: The resolved recipe.

    Returns:
        The folder of a run's model or of a checkpoint, or VOLTA's .bin file; None for the model's own weights.

    Raises:
        UserError: `start_from` is not a run with a model, nor a checkpoint.
    """
    if recipe.start_from == "model":
        return None
    run = start_run(recipe)
    path = run.folder
    refuse_smoke_test(recipe, "start_from", path)
    if run.is_finished:
        if not run.model_dir.is_dir():
            raise UserError(
                f"start_from: {run.folder} {why_without_model(run)}; name a run of another trainer, or one that has "
                "its model"
            )
        return run.model_dir
    is_folder = (path / "config.json").is_file() or holds_adapter(path)
    if not is_folder and not (path.suffix == ".bin" and path.is_file()):
        raise UserError(
            f"start_from: '{path}' is not a recipe, run or checkpoint; name a recipe (.yaml), the folder of a "
            "finished run, a checkpoint folder with config.json, or a .bin of VOLTA"
        )
    return path


def why_without_model(run: Run) -> str:
    """Say why a finished run has no model, for an error.

    Args:
        run: The run.
    """
    trainer = (run.record() or {}).get("trainer")
    if trainer in registry.trainers.names() and registry.trainers.get(trainer).trains_on != "target":
        return "has no model, as where it was imported without it"
    return "keeps no model, since its trainer adapts one to each language"


def refuse_smoke_test(recipe: Recipe, key: str, path: Path) -> None:
    """Refuse weights of a run with a limit, unless the recipe has one too.

    Args:
        recipe: The resolved recipe.
        key: The key that names the weights, for the error.
        path: The folder of a run or of its model, or anything else.

    Raises:
        UserError: They are of a smoke test, and the recipe is none.
    """
    if recipe.limit is not None:
        return
    limit = _limit_of(path / RECORD) or _limit_of(path / TRAINING_RECORD)
    if limit is not None:
        raise UserError(
            f"{key}: {path} is of a smoke test, limited to {limit} steps, and nothing but a smoke test starts from "
            "one; name another run, or add --limit"
        )


def _limit_of(record: Path) -> int | None:
    """Read the limit in a record; a file of that name may also be another program's."""
    try:
        return (read_record_file(record) or {}).get("limit")
    except UserError:
        return None


def _load(recipe: Recipe, checkpoint: Path | None) -> tuple[PreTrainedModel, Processor]:
    cls, settings, origin = _model_parts(recipe, checkpoint)
    if recipe.model.adapter is None:
        model, processor = load_plugin(cls(settings))
        freeze(model, recipe.model.freeze)
        return model, processor
    return load_adapted(cls, settings, recipe.model.adapter, recipe.seed, checkpoint, origin)


def _model_parts(recipe: Recipe, checkpoint: Path | None) -> tuple[Any, BaseModel, Origin | None]:
    """Return the model's plugin, its settings, and where the adapter of the checkpoint comes from, if it has one."""
    cls, settings = registry.models.load(recipe.model.name), recipe.plugin("model")[1]
    origin = stored_origin(checkpoint, recipe.model.adapter)
    if origin is not None:
        settings = base_settings(settings, origin)
    elif checkpoint is not None:
        settings = _settings_for(checkpoint, recipe.model.name, settings)
    return cls, settings, origin


def _settings_for(checkpoint: Path, name: str, settings: BaseModel) -> BaseModel:
    """Return the model's settings with a checkpoint, and with the tokenizer that belongs to it."""
    if "checkpoint" not in type(settings).model_fields:
        raise UserError(f"the Settings of model {name} have no 'checkpoint', so it cannot start from {checkpoint}")
    has_tokenizer = (checkpoint / "tokenizer_config.json").is_file()  # a .bin of VOLTA has none
    tokenizer = None if has_tokenizer else getattr(settings, "tokenizer", None)
    return settings.model_copy(update={"checkpoint": str(checkpoint), "revision": None, "tokenizer": tokenizer})


def model_fingerprint(recipe: Recipe) -> str | None:
    """Hash the weights that the recipe's model brings.

    Args:
        recipe: The resolved recipe.

    Returns:
        The content hash of a local checkpoint, or of several that the model is made of; None for hub ids, whose
        revisions are among the settings.
    """
    cls, settings = registry.models.load(recipe.model.name), recipe.plugin("model")[1]
    completed = cls(settings).settings  # with the defaults of the model's class
    sources = [source for key in weight_sources(type(completed)) if (source := getattr(completed, key, None))]
    for source in sources:
        refuse_smoke_test(recipe, "model", Path(source))
    hashes = [checkpoint_hash(Path(source)) for source in sources if Path(source).exists()]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest() if hashes else None
