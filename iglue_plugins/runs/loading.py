"""Loading by a model's plugin, and checks of what it returns."""

from __future__ import annotations

from typing import Any, get_args

from transformers import PreTrainedModel

from iglue_plugins.data.image_kind import ImageKind
from iglue_plugins.data.processors.base import Processor
from iglue_plugins.registry import class_path
from iglue_plugins.utils.errors import UserError, first_line


def load_plugin(plugin: Any) -> tuple[PreTrainedModel, Processor]:
    """Load a model and its processor by their plugin.

    Args:
        plugin: The plugin, made with the settings of the model.

    Returns:
        The model and its processor.

    Raises:
        UserError: The plugin cannot load its checkpoint, or returns something else than a model that takes a task's
            head and a processor that reads what the plugin says.
    """
    where = f"the model plugin {class_path(type(plugin))}"
    loaded = _load(plugin, where)
    if not isinstance(loaded, tuple) or len(loaded) != 2:
        raise UserError(
            f"{where}: load() returns a {type(loaded).__name__}; let it return a pair, the model and its processor"
        )
    model, processor = loaded
    if not isinstance(model, PreTrainedModel):
        raise UserError(
            f"{where}: load() returns a {type(model).__name__} as the model; make it a transformers.PreTrainedModel"
        )
    if not isinstance(processor, Processor):
        raise UserError(
            f"{where}: load() returns a {type(processor).__name__} beside the model; let it return a Processor, such "
            "as RegionProcessor(tokenizer) or PixelProcessor(tokenizer, image_processor)"
        )
    _check_reads(plugin, processor, where)
    if not hasattr(model, "set_head"):
        raise UserError(
            f"{where}: a {type(model).__name__} has no method set_head(kind, num_labels), by which it gets the head of "
            "a task; add it to the class"
        )
    return model, processor


def _load(plugin: Any, where: str) -> Any:
    """Call the plugin's `load`, and explain what a checkpoint or a processor lacks."""
    checkpoint = getattr(getattr(plugin, "settings", None), "checkpoint", None)
    try:
        return plugin.load()
    except (OSError, ValueError) as error:
        if checkpoint is None:
            raise
        raise UserError(
            f"{where}: load() fails for checkpoint {checkpoint} ({type(error).__name__}: {first_line(error)}); see "
            "that all that it reads is there, of which save_pretrained of the processor writes its part"
        ) from error
    except TypeError as error:
        if "abstract class" not in str(error):
            raise
        raise UserError(f"{where}: load() fails ({first_line(error)}); define it in the class") from error


def _check_reads(plugin: Any, processor: Processor, where: str) -> None:
    """Check that the plugin's class says what its processor reads, since runs look for that before they load models."""
    kind, said, found = type(processor).__name__, getattr(plugin, "reads", "regions"), getattr(processor, "reads", None)
    if found not in get_args(ImageKind):
        raise UserError(
            f"{where}: reads of its {kind} is {found!r}; set it to 'regions' or 'pixels' in the processor's class"
        )
    if said != found:
        raise UserError(
            f"{where}: reads is {said!r}, but its {kind} reads {found!r}; set reads = {found!r} in the class of the "
            "plugin, and in its specification if it has one"
        )
