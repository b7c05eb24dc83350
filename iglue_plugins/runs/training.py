"""The training stage of a run: one model, trained from the last checkpoint, and saved."""

from __future__ import annotations

import shutil
import tempfile
import time

import torch
import yaml
from transformers import PreTrainedModel

from iglue_plugins import registry
from iglue_plugins.data.processors.base import Processor
from iglue_plugins.models.adapter_files import Head, save_adapter
from iglue_plugins.models.adapters import is_adapted
from iglue_plugins.runs.plugins import load_model
from iglue_plugins.runs.record import Start, add_time
from iglue_plugins.runs.record_file import RECORD_FORMAT
from iglue_plugins.runs.source_code import plugin_code
from iglue_plugins.runs.state import RunState
from iglue_plugins.trainers.base import Trainer
from iglue_plugins.utils import distributed
from iglue_plugins.utils.errors import UserError, disk_error_reason, first_line
from iglue_plugins.utils.files import TRAINING_RECORD, sync_folder, write_atomic, write_json_atomic


def trained_model(state: RunState, trainer: Trainer, start: Start) -> tuple[PreTrainedModel, Processor]:
    """Return the run's model: loaded if its training is finished, otherwise trained and saved.

    Args:
        state: The run, whose record gets what training found.
        trainer: The recipe's trainer.
        start: The weights that training starts from.

    Returns:
        The model and its processor.

    Raises:
        UserError: The model cannot be loaded, trained or saved.
    """
    recipe, run, record = state.recipe, state.run, state.record
    if run.model_dir.is_dir():
        return load_model(recipe, run.model_dir)
    start_time = time.monotonic()
    torch.manual_seed(recipe.seed)  # for weights that the checkpoint lacks, or for all weights of a new model
    model, processor = load_model(recipe, start.checkpoint)
    if plugin_code(registry.models.load(recipe.model.name)) and not is_adapted(model):
        check_saving(processor)
    if distributed.is_main_process():
        text = yaml.safe_dump(recipe.to_dict(), sort_keys=False, allow_unicode=True)
        write_atomic(run.recipe_path, text.encode())
    training = trainer.fit(
        model,
        processor,
        state.task,
        source_languages=recipe.source_languages,
        auxiliary_languages=tuple(recipe.auxiliary_languages),
        seed=recipe.seed,
        folder=run.folder,
        evaluation_batch_size=recipe.evaluation.batch_size,
    )
    add_time(record, "training_seconds", start_time)
    record["steps"] = training.steps
    if training.best:
        record["validation"] = training.best
    if training.learned:
        record["learned"] = training.learned
    if distributed.is_main_process():
        save_model(state, model, processor)
    return model, processor


def check_saving(processor: Processor) -> None:
    """Check that a processor can be saved, which a training would find out at its end.

    Args:
        processor: The processor of a model of another package.

    Raises:
        UserError: It cannot be saved.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            processor.save_pretrained(folder)
        except Exception as error:
            if disk_error_reason(error):
                raise
            raise UserError(
                f"the model's processor, a {type(processor).__name__}, cannot be saved ({type(error).__name__}: "
                f"{first_line(error)}), as a run does with what it has trained; correct its save_pretrained"
            ) from error


def save_model(state: RunState, model: PreTrainedModel, processor: Processor) -> None:
    """Save a trained model so that its folder is whole, and has what is known of the training, once it has its name.

    Args:
        state: The run.
        model: The trained model.
        processor: The model's processor.
    """
    run = state.run
    temporary = run.folder / "model.unfinished"
    shutil.rmtree(temporary, ignore_errors=True)
    if is_adapted(model):  # its base has the weights and the processor
        save_adapter(model, temporary, Head(state.task.head, state.task.num_labels))
    else:
        model.save_pretrained(temporary)
        processor.save_pretrained(temporary)
    write_json_atomic(temporary / TRAINING_RECORD, {**state.record, "format": RECORD_FORMAT})
    sync_folder(temporary)
    temporary.rename(run.model_dir)
    run.remove_stale_files()
