"""VOLTA's models (a configuration and pytorch_model.bin) as models and checkpoints of this package."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from iglue_plugins.models.configuration import UniterConfig
from iglue_plugins.models.contrastive import CONTRASTIVE_PREFIX
from iglue_plugins.models.tokenizer import check_vocabulary, load_tokenizer
from iglue_plugins.models.uniter import MODELS, UniterForVisionAndLanguage
from iglue_plugins.models.volta.heads import choose_head, describe_head
from iglue_plugins.models.volta.names import volta_names
from iglue_plugins.models.volta.settings import read_config
from iglue_plugins.models.volta.weights import (
    CONTRASTIVE_FILE,
    Weights,
    check_weights,
    join_parts,
    read_contrastive,
    read_weights,
)
from iglue_plugins.utils.files import content_hash, new_folder

TOKENIZER_FOLDER = "tokenizer"


def volta_files(weights_path: Path) -> list[Path]:
    """List the files of a model of VOLTA whose configuration stands beside its weights.

    Args:
        weights_path: The file of weights.

    Returns:
        This file, and those of config.json, contrastive.safetensors and tokenizer beside it that exist.
    """
    beside = [weights_path.parent / name for name in ("config.json", CONTRASTIVE_FILE, TOKENIZER_FOLDER)]
    return [weights_path, *(path for path in beside if path.exists())]


def checkpoint_hash(path: Path) -> str:
    """Hash the content of a checkpoint folder, or of the files that make up a model of VOLTA.

    Args:
        path: The folder, or VOLTA's .bin file.

    Returns:
        SHA-256 as 64 hexadecimal digits.
    """
    if path.suffix != ".bin":
        return content_hash(path)
    return hashlib.sha256("".join(map(content_hash, volta_files(path))).encode()).hexdigest()


def from_volta(
    config_path: Path | str, weights_path: Path | str, task: str | None = None
) -> UniterForVisionAndLanguage:
    """Load a model of VOLTA.

    Pre-training heads and the heads of other tasks are left out. Contrastive projections are read from
    contrastive.safetensors beside the weights; if there is no such file, they are freshly initialized.

    Args:
        config_path: VOLTA's configuration, a JSON file.
        weights_path: VOLTA's weights, such as pytorch_model.bin.
        task: The task whose head is kept, such as TASK19 or 19. 'none' keeps no head; None keeps the only head of the
            file, if it has one.

    Returns:
        The model, in evaluation mode.

    Raises:
        UserError: A file cannot be read or would run code, the architecture is not one of this package, the file does
            not have the head, or weights do not fit the configuration (the error lists them all).
    """
    config, weights = read_volta(Path(config_path), Path(weights_path), task)
    return MODELS[config.model_type].from_pretrained(None, config=config, state_dict=weights).eval()


def import_checkpoint(
    config_path: Path, weights_path: Path, folder: Path, task: str | None = None, tokenizer: str | None = None
) -> UniterConfig:
    """Write a model of VOLTA as a checkpoint folder.

    Contrastive projections that VOLTA's model does not have are not in the checkpoint either: a run draws them by its
    seed.

    Args:
        config_path: VOLTA's configuration, a JSON file.
        weights_path: VOLTA's weights, such as pytorch_model.bin.
        folder: The folder to write, new or empty.
        task: As in `from_volta`.
        tokenizer: A folder or hub id; default: the folder `tokenizer` beside the weights. Without either, the
            checkpoint has no tokenizer.

    Returns:
        The configuration of the checkpoint.

    Raises:
        UserError: As in `from_volta`; or the tokenizer is missing or does not fit, or `folder` is not empty.
    """
    config, weights = read_volta(config_path, weights_path, task)
    model = MODELS[config.model_type].from_pretrained(None, config=config, state_dict=weights)
    beside = weights_path.parent / TOKENIZER_FOLDER
    source = str(beside) if tokenizer is None and beside.is_dir() else tokenizer
    loaded = None if source is None else load_tokenizer(source, model_type=config.model_type)
    if loaded is not None:
        check_vocabulary(loaded, config, source)
    with new_folder(folder) as unfinished:
        model.save_pretrained(unfinished, state_dict=weights)
        if loaded is not None:
            loaded.save_pretrained(unfinished)
    return config


def read_volta(config_path: Path, weights_path: Path, task: str | None) -> tuple[UniterConfig, Weights]:
    """Read the configuration and the weights of a model of VOLTA.

    Args:
        config_path: VOLTA's configuration.
        weights_path: VOLTA's weights.
        task: As in `from_volta`.

    Returns:
        The configuration, and the weights under our names.

    Raises:
        UserError: As in `from_volta`.
    """
    config, stored = read_config(config_path), read_weights(weights_path)
    task = choose_head(stored, task, weights_path)
    if task is not None:
        config.head, config.num_labels, hidden_size = describe_head(stored, task, config.pooler_size, weights_path)
        config.classifier_hidden_size = hidden_size or config.classifier_hidden_size
    contrastive = read_contrastive(weights_path.parent / CONTRASTIVE_FILE, config)
    if contrastive:
        config.contrastive_size = len(contrastive[f"{CONTRASTIVE_PREFIX}text.weight"])
    shapes = weight_shapes(config)
    names = volta_names(shapes, config, task)
    check_weights(stored, shapes, names, task, weights_path)
    return config, {name: join_parts(stored, parts) for name, parts in names.items()} | contrastive


def weight_shapes(config: UniterConfig) -> dict[str, torch.Size]:
    """Compute the names and shapes of a model's weights, without those of the contrastive projections.

    Args:
        config: The model's configuration.

    Returns:
        Shapes by name.
    """
    with torch.device("meta"):
        weights = MODELS[config.model_type](config).state_dict()
    return {name: value.shape for name, value in weights.items() if not name.startswith(CONTRASTIVE_PREFIX)}
