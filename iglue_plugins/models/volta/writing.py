"""Models of this package as VOLTA's files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig

from iglue_plugins.models.adapter_files import refuse_adapter
from iglue_plugins.models.checkpoints import LOADING_ERRORS
from iglue_plugins.models.configuration import HeadKind, UniterConfig
from iglue_plugins.models.contrastive import CONTRASTIVE_PREFIX
from iglue_plugins.models.embeddings import CONTEXT_WEIGHT
from iglue_plugins.models.tokenizer import load_tokenizer
from iglue_plugins.models.uniter import MODELS
from iglue_plugins.models.volta.names import Names, volta_names
from iglue_plugins.models.volta.reading import TOKENIZER_FOLDER, weight_shapes
from iglue_plugins.models.volta.settings import volta_settings
from iglue_plugins.models.volta.weights import CONTRASTIVE_FILE
from iglue_plugins.utils.errors import UserError, first_line
from iglue_plugins.utils.files import new_folder

TASKS: dict[HeadKind, str] = {  # IGLUE's task with a head of this kind
    "classifier": "TASK19",
    "vqa": "TASK15",
    "image_pair": "TASK12",
    "image_text_matching": "TASK8",
}


def export_checkpoint(source: Path, folder: Path, task: str | None = None) -> str | None:
    """Write the model of a run, or a checkpoint folder, as VOLTA's config.json and pytorch_model.bin.

    The weights get the names of VOLTA's BertForVLTasks, and shared ones both of their names. What VOLTA's file has no
    place for is written beside it if the checkpoint has it: contrastive.safetensors and the folder `tokenizer`. A
    context is left out, without which the model computes the same.

    Args:
        source: A run's or a checkpoint's folder.
        folder: The folder to write, new or empty.
        task: The task of VOLTA whose head the model's becomes, such as TASK19 or 19; default: IGLUE's task with such a
            head.

    Returns:
        The name of the head's task; None if the model has no head.

    Raises:
        UserError: `source` holds no model of this package, VOLTA has no such model, or `folder` is not empty.
    """
    source = source / "model" if (source / "model" / "config.json").is_file() else source
    config = _load_config(source)
    weights = _load_weights(source, config)
    weights.pop(CONTEXT_WEIGHT, None)
    contrastive = {name.removeprefix(CONTRASTIVE_PREFIX): weights.pop(name) for name in list(weights)
                   if name.startswith(CONTRASTIVE_PREFIX)}  # fmt: skip
    task = _head_name(config, task, source)
    settings, exported = volta_settings(config), volta_weights(weights, config, task)
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
    """Give weights VOLTA's names.

    Args:
        weights: Weights by our names, without the contrastive projections.
        config: The model's configuration.
        task: The name of the head's task, such as TASK19; None if there is no head.

    Returns:
        Weights by VOLTA's names, float32. A shared weight is the same tensor under both of its names.
    """
    exported: dict[str, Tensor] = {}
    for ours, parts in volta_names(weights, config, task).items():
        exported |= _split(weights[ours].float(), parts)
    return exported


def _split(weight: Tensor, parts: list[Names]) -> dict[str, Tensor]:
    tensors = [part.clone() for part in weight.chunk(len(parts))]
    return {name: tensor for tensor, names in zip(tensors, parts, strict=True) for name in names}


def _load_config(source: Path) -> UniterConfig:
    refuse_adapter(source)
    if not (source / "config.json").is_file():
        raise UserError(
            f"{source}: holds neither a run nor a checkpoint of iglue; give a folder with config.json and "
            "model.safetensors"
        )
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    except LOADING_ERRORS as error:
        raise UserError(
            f"{source}: holds neither a run nor a checkpoint of iglue ({first_line(error)}); give a folder with "
            "config.json and model.safetensors"
        ) from error
    if not isinstance(config, UniterConfig):
        raise UserError(f"{source}: holds a model of type {config.model_type!r}, not one of {', '.join(MODELS)}")
    return config


def _load_weights(source: Path, config: UniterConfig) -> dict[str, Tensor]:
    path = source / "model.safetensors"
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: cannot be read ({first_line(error)}); it should hold the model's weights") from error
    expected = {name: tuple(shape) for name, shape in weight_shapes(config).items()}
    stored = {name: tuple(value.shape) for name, value in weights.items() if not name.startswith(CONTRASTIVE_PREFIX)}
    if differing := sorted({name for name, _ in stored.items() ^ expected.items()}):
        raise UserError(
            f"{path}: weights are missing, left over or of another shape than config.json says: "
            f"{', '.join(differing)}; use the two files of one model"
        )
    return weights


def _head_name(config: UniterConfig, task: str | None, source: Path) -> str | None:
    if config.head is None:
        if task is not None:
            raise UserError(f"{source}: the model has no head, so --task {task} does not apply; leave it out")
        return None
    number = TASKS[config.head] if task is None else task
    if not re.fullmatch(r"(TASK)?[0-9]+", number):
        raise UserError(f"--task: {task!r} is not the number of a task of VOLTA; give one such as TASK19 or 19")
    return f"TASK{number.removeprefix('TASK')}"
