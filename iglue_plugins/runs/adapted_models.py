"""Models with an adapter: the base's weights by the model's plugin, and the adapter beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from transformers import PreTrainedModel

from iglue_plugins.data.processors.base import Processor
from iglue_plugins.models.adapter_files import (
    Base,
    Origin,
    holds_adapter,
    load_adapter,
    read_origin,
    set_origin,
)
from iglue_plugins.models.adapters import add_adapter, weights_hash
from iglue_plugins.models.volta.reading import checkpoint_hash
from iglue_plugins.recipes.adapter import AdapterSettings
from iglue_plugins.runs.loading import load_plugin
from iglue_plugins.utils.errors import UserError

FREE = {"dropout"}  # the settings of an adapter that a later stage may change


def stored_origin(checkpoint: Path | None, adapter: AdapterSettings | None) -> Origin | None:
    """Read where the adapter of a checkpoint comes from, and check that a recipe can go on with it.

    Args:
        checkpoint: The weights that a recipe starts from; None for the model's own.
        adapter: The recipe's adapter.

    Returns:
        The origin, with the recipe's settings; None if the checkpoint has no adapter.

    Raises:
        UserError: The recipe has no adapter or one with other settings, or the adapter's base is gone.
    """
    if checkpoint is None or not holds_adapter(checkpoint):
        return None
    origin = read_origin(checkpoint)
    found = origin.settings.model_dump(mode="json")
    if adapter is None:
        said = ", ".join(f"{key}: {value}" for key, value in found.items())
        raise UserError(f"model.adapter: {checkpoint} has an adapter, and the recipe has none; set it to {{{said}}}")
    for key, value in adapter.model_dump(mode="json").items():
        if key not in FREE and value != found[key]:
            raise UserError(
                f"model.adapter.{key}: it is {value} in the recipe, but {found[key]} in the adapter of {checkpoint}, "
                f"which is trained on; set it to {found[key]}"
            )
    return replace(origin, settings=adapter)


def base_settings(settings: BaseModel, origin: Origin) -> BaseModel:
    """Return the settings by which a model's plugin loads the weights that a stored adapter belongs to.

    Args:
        settings: The settings of the recipe's model.
        origin: Where the adapter comes from.
    """
    keys = source_keys(type(settings))
    return settings.model_copy(update={key: value for key, value in origin.base.source.items() if key in keys})


def source_keys(settings: type[BaseModel]) -> list[str]:
    """List the settings of a model that say where its weights and its processor come from.

    Args:
        settings: The class of the model's settings.
    """
    sources = weight_sources(settings)
    keys = (*sources, *(f"{key}_revision" for key in sources), "revision", "tokenizer")
    return [key for key in keys if key in settings.model_fields]


def weight_sources(settings: type | None) -> tuple[str, ...]:
    """List the settings of a model that name folders or hub ids of weights.

    Args:
        settings: The class of the model's settings; None where it is not installed.
    """
    sources: tuple[str, ...] = getattr(settings, "weight_sources", ("checkpoint", "text_weights"))
    return sources


def load_adapted(
    make_plugin: Callable[[BaseModel], Any],
    settings: BaseModel,
    adapter: AdapterSettings,
    seed: int,
    checkpoint: Path | None,
    origin: Origin | None,
) -> tuple[PreTrainedModel, Processor]:
    """Load a model with a new adapter, or with a stored one.

    Weights that no file has are drawn by the seed, those of a stored adapter's base by the seed that it was trained by.

    Args:
        make_plugin: Makes the model's plugin from its settings.
        settings: The settings of the base, from `base_settings`.
        adapter: The settings of a new adapter.
        seed: The run's seed.
        checkpoint: The folder of a stored adapter.
        origin: Where it comes from; None for a new one.

    Returns:
        The model and its processor.

    Raises:
        UserError: The base cannot be loaded or has changed, or the adapter does not fit it.
    """
    plugin = make_plugin(settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(origin.base.seed if origin else seed)
        model, processor = load_plugin(plugin)
        torch.manual_seed(seed)
        if origin is None:
            add_adapter(model, adapter)
        else:
            assert checkpoint is not None
            load_adapter(model, checkpoint, origin)
    hashes, name = _identity(plugin, model)
    if origin is None:
        source = {key: getattr(settings, key) for key in source_keys(type(settings))}
        origin = Origin(adapter, Base(source, seed, hashes, name))
    elif hashes != origin.base.hashes:
        where = f"in {name}" if name else f"that the model's settings give with seed {origin.base.seed}"
        raise UserError(
            f"{checkpoint}: its adapter belongs to other weights than those {where} now; bring back those that it was "
            "trained on, or train again"
        )
    set_origin(model, origin)
    return model, processor


def _identity(plugin: Any, model: PreTrainedModel) -> tuple[dict[str, str], str | None]:
    """Hash the base's files, or its weights where it has no checkpoint in a local folder; and name the checkpoint."""
    source = getattr(getattr(plugin, "settings", None), "checkpoint", None)
    if source and Path(source).exists():
        return {"files": checkpoint_hash(Path(source))}, str(source)
    return {"weights": weights_hash(model)}, source
