"""A model of ours as VOLTA's files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig

from iglue_plugins.models.checkpoints import LOADING_ERRORS, first_line
from iglue_plugins.models.configuration import HeadKind, UniterConfig
from iglue_plugins.models.contrastive import CONTRASTIVE
from iglue_plugins.models.tokenizer import load_tokenizer
from iglue_plugins.models.uniter import MODELS
from iglue_plugins.models.volta.names import Names, volta_names
from iglue_plugins.models.volta.reading import CONTRASTIVE_FILE, TOKENIZER_FOLDER, weight_shapes
from iglue_plugins.models.volta.settings import to_settings
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import new_folder

TASKS: dict[HeadKind, str] = {  # IGLUE's task with a head of this kind
    "classifier": "TASK19",
    "vqa": "TASK15",
    "image_pair": "TASK12",
    "image_text_matching": "TASK8",
}


def export_checkpoint(source: Path, folder: Path, task: str | None = None) -> str | None:
    """Write the model of a run, or a checkpoint folder, as VOLTA's config.json and pytorch_model.bin.

    The weights have the names of VOLTA's BertForVLTasks, shared ones both of theirs. What VOLTA has no place for stands
    beside: contrastive.safetensors and the folder `tokenizer`, each where the checkpoint has it.
    task: whose head it becomes (TASK19, or 19); default: IGLUE's task with such a head. Returns it; None: no head.

    Raises:
        UserError: there is no model of ours in `source`, VOLTA has no such model, or `folder` has something in it.
    """
    source = source / "model" if (source / "model" / "config.json").is_file() else source
    config = _load_config(source)
    weights = _load_weights(source, config)
    contrastive = {name.removeprefix(CONTRASTIVE): weights.pop(name) for name in list(weights)
                   if name.startswith(CONTRASTIVE)}  # fmt: skip
    task = _head_name(config, task, source)
    settings, exported = to_settings(config), volta_weights(weights, config, task)
    with new_folder(folder) as unfinished:
        (unfinished / "config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        torch.save(exported, unfinished / "pytorch_model.bin")
        if contrastive:
            save_file(contrastive, unfinished / CONTRASTIVE_FILE)
        if (source / "tokenizer_config.json").is_file():
            tokenizer = load_tokenizer(str(source), model_type=config.model_type)
            tokenizer.save_pretrained(unfinished / TOKENIZER_FOLDER)
    return task


def volta_weights(weights: dict[str, Tensor], config: UniterConfig, task: str | None) -> dict[str, Tensor]:
    """Our weights under VOLTA's names, float32; a shared weight stands under both of its names but takes room once."""
    exported: dict[str, Tensor] = {}
    for ours, parts in volta_names(weights, config, task).items():
        exported |= _split(weights[ours].float(), parts)
    return exported


def _split(weight: Tensor, parts: list[Names]) -> dict[str, Tensor]:
    tensors = [part.clone() for part in weight.chunk(len(parts))]
    return {name: tensor for tensor, names in zip(tensors, parts, strict=True) for name in names}


def _load_config(source: Path) -> UniterConfig:
    if not (source / "config.json").is_file():
        raise UserError(
            f"{source}: found no run and no checkpoint of ours, expected a folder with config.json and "
            "model.safetensors"
        )
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    except LOADING_ERRORS as error:
        raise UserError(
            f"{source}: found no run and no checkpoint of ours ({first_line(error)}), expected a folder "
            "with config.json and model.safetensors"
        ) from error
    if not isinstance(config, UniterConfig):
        raise UserError(f"{source}: found a model of type {config.model_type!r}, expected one of {', '.join(MODELS)}")
    return config


def _load_weights(source: Path, config: UniterConfig) -> dict[str, Tensor]:
    path = source / "model.safetensors"
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: cannot be read ({first_line(error)}), expected the model's weights") from error
    expected = {name: tuple(shape) for name, shape in weight_shapes(config).items()}
    found = {name: tuple(value.shape) for name, value in weights.items() if not name.startswith(CONTRASTIVE)}
    if differing := sorted({name for name, _ in found.items() ^ expected.items()}):
        raise UserError(
            f"{path}: found weights that config.json does not describe, or of another shape, or none where "
            f"it does: {', '.join(differing)}; expected both to be of one model"
        )
    return weights


def _head_name(config: UniterConfig, task: str | None, source: Path) -> str | None:
    if config.head is None:
        if task is not None:
            raise UserError(f"{source}: found no head, expected one for {task}")
        return None
    number = TASKS[config.head] if task is None else task
    if not re.fullmatch(r"(TASK)?[0-9]+", number):
        raise UserError(f"--task: found {task!r}, expected the number of a task of VOLTA's, such as TASK19 or 19")
    return f"TASK{number.removeprefix('TASK')}"
