"""Adapters in files: a folder in peft's format, with what tells the weights that the adapter belongs to."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from pydantic import NonNegativeInt, TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from transformers import PreTrainedModel

from iglue_plugins.models.adapters import ADAPTER, MATRICES, add_adapter, stored_weights
from iglue_plugins.models.context import find_context
from iglue_plugins.models.protocols import HasTaskHeads, TakesContext
from iglue_plugins.recipes.adapter import AdapterSettings
from iglue_plugins.utils.errors import UserError, first_line
from iglue_plugins.utils.files import write_atomic, write_json_atomic
from iglue_plugins.utils.strict_json import parse_json

CONFIG = "adapter_config.json"  # peft's names
WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
ORIGIN = "adapter_origin.json"
FORMAT = 1


@dataclass(frozen=True)
class Base:
    """Where the weights come from that an adapter belongs to.

    Attributes:
        source: The model's settings that say where its weights come from, such as `checkpoint` and `revision`; the
            others are the recipe's.
        seed: The seed of weights that no file has.
        hashes: "files", the hash of a local checkpoint's content, or else "weights", that of the weights.
        checkpoint: The name of the checkpoint for readers of the folder; None where there is none.
    """

    source: dict[str, str | None]
    seed: int
    hashes: dict[str, str]
    checkpoint: str | None = None


@dataclass(frozen=True)
class Head:
    """The task head of a model with an adapter, which `set_head` makes.

    Attributes:
        kind: The kind of head.
        num_labels: The number of its outputs.
    """

    kind: str
    num_labels: int


@dataclass(frozen=True)
class Origin:
    """What has to be known of an adapter beside its weights.

    Attributes:
        settings: The settings of the adapter.
        base: Where the weights come from that it belongs to.
        head: The model's task head; None before a run has given it one.
        context_size: The number of its context parameters; 0: it has no context.
    """

    settings: AdapterSettings
    base: Base
    head: Head | None = None
    context_size: int = 0


def holds_adapter(folder: Path | None) -> bool:
    """Tell whether a folder holds an adapter."""
    return folder is not None and (folder / CONFIG).is_file()


def refuse_adapter(source: Path) -> None:
    """Refuse a run or folder that holds an adapter, where a whole model is needed.

    Args:
        source: A run's or a checkpoint's folder.

    Raises:
        UserError: It holds an adapter.
    """
    if holds_adapter(source) or holds_adapter(source / "model"):
        raise UserError(
            f"{source}: holds an adapter without the weights that it belongs to; name the run or checkpoint of a whole "
            "model, trained without model.adapter"
        )


def set_origin(model: PreTrainedModel, origin: Origin) -> None:
    """Note in a model with an adapter what `save_adapter` writes of it.

    Args:
        model: The model.
        origin: What is noted.
    """
    cast("Any", model).adapter_origin = origin


def save_adapter(model: PreTrainedModel, folder: Path, head: Head) -> None:
    """Write a model's adapter, heads and context, without the weights that are frozen.

    `peft.PeftModel.from_pretrained(model, folder)` loads adapter and heads into a model of the same base weights with
    such a head and context.

    Args:
        model: A model with an adapter, from `set_origin`.
        folder: The folder to write.
        head: The model's task head.
    """
    origin: Origin = cast("Any", model).adapter_origin
    config = cast("Any", model).peft_config[ADAPTER].to_dict()
    config |= {"base_model_name_or_path": origin.base.checkpoint, "revision": origin.base.source.get("revision")}
    config |= {"inference_mode": True}
    sortable = {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}
    text = json.dumps(sortable, indent=2, sort_keys=True, default=str)
    weights = {PREFIX + peft_name(name): value for name, value in stored_weights(model).items()}
    write_atomic(folder / CONFIG, f"{text}\n".encode())
    write_atomic(folder / WEIGHTS, save(weights, metadata={"format": "pt"}))
    checkpoint = origin.base.source.get("checkpoint")
    relative = os.path.relpath(checkpoint, folder) if checkpoint and Path(checkpoint).exists() else None
    content: dict[str, Any] = {
        "format": FORMAT,
        "adapter": origin.settings.model_dump(mode="json"),
        "base": {**asdict(origin.base), "relative_path": relative},
        "head": asdict(head),
    }
    if found := find_context(model):
        content["context_size"] = found[1].values.numel()
    write_json_atomic(folder / ORIGIN, content)


def read_origin(folder: Path) -> Origin:
    """Read what has to be known of an adapter before its base can be loaded.

    Args:
        folder: The adapter's folder.

    Returns:
        What `save_adapter` wrote. A base in a local folder that has moved together with the adapter's is found.

    Raises:
        UserError: The file is missing or damaged, or the base is gone.
    """
    path = folder / ORIGIN
    try:
        content = parse_json(path.read_bytes())
        if content["format"] != FORMAT:
            raise ValueError(f"it has format {content['format']!r} instead of {FORMAT}")
        base = dict(content["base"])
        relative = base.pop("relative_path")
        origin = Origin(
            AdapterSettings.model_validate(content["adapter"]),
            TypeAdapter(Base).validate_python(base),
            TypeAdapter(Head).validate_python(content["head"]),
            TypeAdapter(NonNegativeInt).validate_python(content.get("context_size", 0)),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:  # pydantic's is a ValueError
        raise UserError(
            f"{path}: cannot be read ({first_line(error)}), which tells the weights that the adapter belongs to"
        ) from error
    checkpoint = origin.base.source.get("checkpoint")
    if relative is None or not checkpoint or Path(checkpoint).exists():
        return origin
    moved = Path(os.path.normpath(folder.absolute() / str(relative)))
    if not moved.exists():
        raise UserError(
            f"{folder}: its adapter belongs to the weights in {checkpoint}, which are not there any more; move them "
            "back, or train again"
        )
    source = origin.base.source | {"checkpoint": str(moved)}
    return replace(origin, base=Base(source, origin.base.seed, origin.base.hashes, str(moved)))


def load_adapter(model: PreTrainedModel, folder: Path, origin: Origin) -> None:
    """Put a stored adapter into a model, and load its weights, those of the heads and that of a context.

    Args:
        model: The model with the base's weights, which is changed in place.
        folder: The adapter's folder.
        origin: What `read_origin` returned.

    Raises:
        UserError: The weights are missing, damaged, or do not fit the model.
    """
    if origin.head is not None:
        cast("HasTaskHeads", model).set_head(origin.head.kind, origin.head.num_labels)
    add_adapter(model, origin.settings)
    if origin.context_size:  # one that the base lacks is trained, as that of the training was
        cast("TakesContext", model).set_context(origin.context_size)
    path = folder / WEIGHTS
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: no adapter can be loaded ({first_line(error)})") from error
    expected = {PREFIX + peft_name(name): name for name in stored_weights(model)}
    state = model.state_dict()
    differing = sorted(found.keys() ^ expected.keys())
    differing += [name for name in found.keys() & expected.keys() if found[name].shape != state[expected[name]].shape]
    if differing:
        raise UserError(f"{path}: its weights do not fit the model's ({', '.join(differing[:3])})")
    model.load_state_dict({expected[name]: value for name, value in found.items()}, strict=False)


def peft_name(name: str) -> str:
    """Return the name of a weight in peft's files, which leave out the name of the adapter."""
    for part in MATRICES:
        name = name.replace(part, part.replace(f".{ADAPTER}.", "."))
    return name
