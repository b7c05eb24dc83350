"""Predictions of a trained model on documents, by the code of `iglue evaluate`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from datasets import Dataset

from iglue_plugins import registry
from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.processors.base import Processor
from iglue_plugins.integrations.lmms_eval.documents import Document, make_task
from iglue_plugins.integrations.lmms_eval.task_files import COLUMNS
from iglue_plugins.models.configuration import current_head
from iglue_plugins.models.uniter import MODELS
from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.recipes.sections import Evaluation
from iglue_plugins.runs.sharing.download import find_run
from iglue_plugins.runs.trained_model import TrainedModel, load_trained, move
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.iglue.task import IGLUETask
from iglue_plugins.tasks.settings import IGLUE_HOME
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.notices import quiet_libraries
from iglue_plugins.utils.strict_json import parse_json

CONFIG = "config.json"
DEFAULT_BATCH_SIZE: int = Evaluation.model_fields["batch_size"].default


class Predictor:
    """A model that predicts the labels of documents.

    Args:
        pretrained: The folder of a finished run, its model's folder, the hub id of a run that was pushed, or the folder
            of a checkpoint.
        data_root: The folder with IGLUE's data; default: that of the run's recipe, or the environment variable
            IGLUE_HOME.
        batch_size: The number of examples in a batch; default: that of the run's recipe.
        device: The device of the model.

    Attributes:
        recipe: The recipe of the run; None for a checkpoint alone.
        trained: The model on the device, with its processor and the size of batches.

    Raises:
        UserError: There is no such run, checkpoint, data_root or device.
    """

    def __init__(
        self,
        pretrained: str | Path,
        data_root: str | Path | None = None,
        batch_size: int | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        quiet_libraries()
        if data_root is not None and not (str(data_root) and Path(data_root).is_dir()):
            raise UserError(f"data_root: there is no folder '{data_root}'; name the folder with IGLUE's data")
        self.path, self.data_root = Path(pretrained), data_root
        run = find_run(pretrained)
        self.recipe: Recipe | None = None
        if run.is_finished:
            self.recipe, self.trained = load_trained(run, device)
        else:
            self.trained = _load_checkpoint(self.path, device)
        if batch_size:
            self.trained = replace(self.trained, batch_size=batch_size)

    def batcher(self, name: str, documents: Sequence[Document]) -> Batcher:
        """Prepare the documents of a task for the model.

        Args:
            name: The task's name.
            documents: The documents.

        Returns:
            A batcher of the documents.

        Raises:
            UserError: The model is of another task, the task's data are missing, or a document's image is missing.
        """
        task = self._task(name)
        rows = Dataset.from_dict({column: [document[column] for document in documents] for column in COLUMNS})
        try:
            return Batcher(rows, task, self.trained.processor)
        except UserError:
            _check_images(self.trained.processor, task, documents)
            raise

    def answers(self, batcher: Batcher) -> list[str]:
        """Predict the label of each document.

        Args:
            batcher: The documents, as `Predictor.batcher` prepares them.

        Returns:
            The labels, in the order of the documents.
        """
        assert isinstance(batcher.task, Task)  # `Predictor.batcher` makes it
        return batcher.task.predict(self.trained.logits(batcher))

    def _task(self, name: str) -> Task:
        """Make the documents' task with the recipe's settings, and check that the model has the task's head."""
        if self.recipe and self.recipe.task.name != name:
            raise UserError(
                f"{self.path}: the model is of task {self.recipe.task.name}, but the documents are of task {name}"
            )
        settings = dict(self.recipe.task.settings) if self.recipe else {}
        if self.data_root is not None:
            if "data_root" not in registry.tasks.load(name).Settings.model_fields:
                raise UserError(
                    f"data_root: '{self.data_root}' is given, but task {name} generates its data; leave it out"
                )
            settings["data_root"] = str(self.data_root)
        task, config = make_task(name, settings), self.trained.model.config
        if isinstance(task, IGLUETask) and not (settings.get("data_root") or os.environ.get(IGLUE_HOME)):
            raise UserError(
                f"model_args: data_root is missing; name the folder with the data of task {name} here, in the run's "
                f"recipe or in {IGLUE_HOME}"
            )
        if (config.head, config.num_labels) != (current_head(task.head), task.num_labels):
            raise UserError(
                f"{self.path}: the model has head {config.head!r} and {config.num_labels} labels, but task {name} "
                f"needs {task.head!r} and {task.num_labels}"
            )
        return task


def _load_checkpoint(path: Path, device: str | torch.device) -> TrainedModel:
    """Load the model of a checkpoint alone."""
    plugin = registry.models.load(_checkpoint_type(path))
    model, processor = plugin(plugin.Settings(checkpoint=str(path))).load()
    return TrainedModel(move(model, device), processor, DEFAULT_BATCH_SIZE)


def _checkpoint_type(path: Path) -> str:
    """Read the type of a checkpoint's model, which is its name in the registry."""
    try:
        model_type = parse_json((path / CONFIG).read_bytes()).get("model_type")
    except (OSError, ValueError, AttributeError):
        raise UserError(
            f"pretrained: '{path}' is not a run or a checkpoint; name the folder of a finished run, or of a checkpoint "
            f"with {CONFIG}"
        ) from None
    if model_type not in MODELS:
        raise UserError(f"{path / CONFIG}: found model_type {model_type!r}, expected one of {', '.join(MODELS)}")
    return model_type


def _check_images(processor: Processor, task: Task, documents: Sequence[Document]) -> None:
    """Check that the model can read every image, and name the first document with one that it cannot."""
    images = processor.prepare_images(task)
    for document in documents:
        try:
            images.index(document["image_ids"])
        except UserError as error:
            raise UserError(f"{task.name} in '{document['language']}': document '{document['id']}': {error}") from error
