"""A trained model's answers to documents, by the code of `iglue evaluate`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from iglue_plugins import registry
from iglue_plugins.data.batching import Batcher
from iglue_plugins.evaluation.inference import classify
from iglue_plugins.integrations.lmms_eval.documents import Document, make_task
from iglue_plugins.integrations.lmms_eval.generating import COLUMNS, SPLIT
from iglue_plugins.models.configuration import current_head
from iglue_plugins.models.uniter import MODELS
from iglue_plugins.recipes.recipe import Evaluation, Recipe, load_recipe
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.plugins import load_model, quiet_libraries
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.iglue.task import IGLUETask
from iglue_plugins.tasks.settings import IGLUE_HOME
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.threads import threads_for

CONFIG = "config.json"
DEFAULT_BATCH_SIZE: int = Evaluation.model_fields["batch_size"].default


class Predictor:
    """The model of a finished run, or of a checkpoint alone, and what it says of documents."""

    def __init__(
        self,
        pretrained: str | Path,
        data_root: str | Path | None = None,
        batch_size: int | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        """pretrained: the folder of a run, or a checkpoint's. data_root, batch_size: instead of the recipe's.

        Raises:
            UserError: there is no such run, checkpoint, data_root or device.
        """
        quiet_libraries()
        if data_root is not None and not (str(data_root) and Path(data_root).is_dir()):
            raise UserError(f"data_root: found no folder '{data_root}', expected the one with IGLUE's data")
        self.path, self.data_root = Path(pretrained), data_root
        above = Run(self.path.parent)
        run = above if above.model_dir == self.path else Run(self.path)
        self.recipe = load_recipe(run.recipe_path) if run.is_finished else None
        model, self.tokenizer = _load(self.path, run, self.recipe)
        try:
            self.model = model.to(device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"device: found '{device}', expected one that torch has here ({reason})") from error
        self.batch_size = batch_size or (self.recipe.evaluation.batch_size if self.recipe else DEFAULT_BATCH_SIZE)

    def batcher(self, name: str, language: str, documents: Sequence[Document]) -> Batcher:
        """The documents of a task in one language, ready for the model.

        Raises:
            UserError: the model is of another task, the task lacks its data, or a document's image has no features.
        """
        task = self._task(name)
        if not isinstance(task, IGLUETask):
            task.load(SPLIT, language)  # its examples are made, and their features with them
        rows = Dataset.from_dict({column: [document[column] for document in documents] for column in COLUMNS})
        try:
            return Batcher(rows, task, self.tokenizer, task.region_layout(self.model.config))
        except UserError:
            _check_features(task, documents)
            raise

    def answers(self, batcher: Batcher) -> list[str]:
        """The predicted label of each document."""
        with threads_for(self.model):
            return batcher.task.predict(classify(self.model, batcher, self.batch_size))

    def _task(self, name: str) -> Task:
        """The documents' task, with the recipe's settings; checked against the model."""
        if self.recipe and self.recipe.task.name != name:
            raise UserError(
                f"{self.path}: found a model of task {self.recipe.task.name}, expected one of {name}, as "
                "the documents are"
            )
        settings = dict(self.recipe.task.settings) if self.recipe else {}
        if self.data_root is not None:
            if "data_root" not in registry.tasks.load(name).Settings.model_fields:
                raise UserError(f"data_root: found '{self.data_root}', but task {name} brings its own data")
            settings["data_root"] = str(self.data_root)
        task, config = make_task(name, settings), self.model.config
        if isinstance(task, IGLUETask) and not (settings.get("data_root") or os.environ.get(IGLUE_HOME)):
            raise UserError(
                f"model_args: found no data_root, expected the folder with the data of task {name} "
                f"here, in the run's recipe or in {IGLUE_HOME}"
            )
        if (config.head, config.num_labels) != (current_head(task.head), task.num_labels):
            raise UserError(
                f"{self.path}: found a model with head {config.head!r} and {config.num_labels} labels, "
                f"expected {task.head!r} and {task.num_labels}, as task {name} has"
            )
        return task


def _load(path: Path, run: Run, recipe: Recipe | None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    if recipe is not None:
        if not run.model_dir.is_dir():
            raise UserError(
                f"{run.folder}: found no model, expected a run that keeps one; a trainer that adapts to "
                "each language does not"
            )
        return load_model(recipe, run.model_dir)
    kind = _checkpoint_type(path)
    plugin = registry.models.load(kind)
    return plugin(plugin.Settings(checkpoint=str(path))).load()


def _checkpoint_type(path: Path) -> str:
    """What a checkpoint's config.json says that it is: the name of a model in the registry."""
    try:
        found = json.loads((path / CONFIG).read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError):
        raise UserError(
            f"pretrained: found '{path}', expected the folder of a finished run, or of a checkpoint with {CONFIG}"
        ) from None
    if found not in MODELS:
        raise UserError(f"{path / CONFIG}: found model_type {found!r}, expected one of {', '.join(MODELS)}")
    return found


def _check_features(task: Task, documents: Sequence[Document]) -> None:
    """Name the first document with an image that has no features."""
    for document in documents:
        try:
            task.regions.index(document["image_ids"])
        except UserError as error:
            raise UserError(f"{task.name} in '{document['language']}': document '{document['id']}': {error}") from error
