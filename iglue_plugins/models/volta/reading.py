"""Weights of VOLTA's (pytorch_model.bin) as a model of ours."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from iglue_plugins.models.configuration import HeadKind, UniterConfig
from iglue_plugins.models.contrastive import CONTRASTIVE
from iglue_plugins.models.tokenizer import check_vocabulary, load_tokenizer
from iglue_plugins.models.uniter import MODELS, UniterForVisionAndLanguage
from iglue_plugins.models.volta.names import HEADS, PRETRAINING_HEADS, Names, volta_names
from iglue_plugins.models.volta.settings import read_config
from iglue_plugins.utils.errors import UserError, did_you_mean
from iglue_plugins.utils.files import new_folder

NO_HEAD = "none"
CONTRASTIVE_FILE = "contrastive.safetensors"  # beside the weights: VOLTA has no place for the contrastive projections
TOKENIZER_FOLDER = "tokenizer"
Weights = dict[str, Tensor]


def volta_files(weights_path: Path) -> list[Path]:
    """The files that make up a model of VOLTA's whose configuration stands beside its weights."""
    beside = [weights_path.parent / name for name in ("config.json", CONTRASTIVE_FILE, TOKENIZER_FOLDER)]
    return [weights_path, *(path for path in beside if path.exists())]


def from_volta(
    config_path: Path | str, weights_path: Path | str, task: str | None = None
) -> UniterForVisionAndLanguage:
    """A model of VOLTA's, in evaluation mode.

    task: the task whose head it keeps (TASK19, or 19); 'none': no head; None: the only head in the file, if there is
    one. Pre-training heads and the heads of other tasks are left out. Contrastive projections are read from
    contrastive.safetensors beside the weights, and freshly initialised where there is no such file.

    Raises:
        UserError: a file that cannot be read or would run code, an architecture that is not ours, a head that is not
            there, or weights that do not fit the configuration (all of them are listed).
    """
    config, weights = read_volta(Path(config_path), Path(weights_path), task)
    return MODELS[config.model_type].from_pretrained(None, config=config, state_dict=weights).eval()


def import_checkpoint(
    config_path: Path, weights_path: Path, folder: Path, task: str | None = None, tokenizer: str | None = None
) -> UniterConfig:
    """Write a model of VOLTA's as a checkpoint folder; returns its configuration.

    task: as in `from_volta`. tokenizer: folder or hub id; default: the folder `tokenizer` beside the weights; without
    either the checkpoint has none. Projections that are not in the file are not in the checkpoint either: a run draws
    them by its own seed.

    Raises:
        UserError: as `from_volta`; the tokeniser is not there or does not fit; `folder` has something in it.
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
    """The configuration and the weights under our names."""
    config, found = read_config(config_path), read_weights(weights_path)
    task = choose_head(found, task, weights_path)
    if task is not None:
        config.head, config.num_labels, hidden_size = describe_head(found, task, config.pooler_size, weights_path)
        config.classifier_hidden_size = hidden_size or config.classifier_hidden_size
    contrastive = read_contrastive(weights_path.parent / CONTRASTIVE_FILE, config)
    if contrastive:
        config.contrastive_size = len(contrastive[f"{CONTRASTIVE}text.weight"])
    shapes = weight_shapes(config)
    names = volta_names(shapes, config, task)
    check_weights(found, shapes, names, task, weights_path)
    return config, {name: joined(found, parts) for name, parts in names.items()} | contrastive


def weight_shapes(config: UniterConfig) -> dict[str, torch.Size]:
    """The names and shapes of a model's weights, the contrastive projections left out."""
    with torch.device("meta"):
        weights = MODELS[config.model_type](config).state_dict()
    return {name: value.shape for name, value in weights.items() if not name.startswith(CONTRASTIVE)}


def read_weights(path: Path) -> Weights:
    """The weights in `path`, without the prefix that DataParallel gives; nothing in the file is executed."""
    try:
        with warnings.catch_warnings(action="ignore"):  # PyTorch's, of what it then refuses
            found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or 'cut off'}), expected PyTorch weights") from error
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to say
        code = re.search(r"\bGLOBAL ([\w.]+)", str(error))
        reason = f"{code[1]}, which is code" if code else "a file that is cut off or damaged, or of another kind"
        raise UserError(f"{path}: found {reason}, expected PyTorch weights and nothing else") from error
    if not isinstance(found, Mapping):
        raise UserError(f"{path}: found a {type(found).__name__}, expected a state dict: names and their tensors")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise UserError(
                f"{path}: found a {type(value).__name__} as {name!r}, expected a state dict: names and their tensors"
            )
    return {name.removeprefix("module."): value.detach() for name, value in found.items()}


def choose_head(weights: Weights, task: str | None, path: Path) -> str | None:
    """The name of the head to keep; None for none."""
    heads = sorted({name.split(".")[1] for name in weights if name.startswith(HEADS)})
    if task == NO_HEAD or (task is None and not heads):
        return None
    if task is None and len(heads) > 1:
        raise UserError(
            f"{path}: found the heads {', '.join(heads)}, expected the task to be named "
            f"(by --task of `iglue checkpoint import`), or '{NO_HEAD}'"
        )
    chosen = heads[0] if task is None else f"TASK{task.removeprefix('TASK')}"
    if chosen not in heads:
        raise UserError(f"{path}: found no head {chosen}{did_you_mean(chosen, heads)}")
    return chosen


def describe_head(weights: Weights, task: str, pooler_size: int, path: Path) -> tuple[HeadKind, int, int | None]:
    """The kind of a head, the number of its outputs, and the width between its layers if it has two."""
    layers = [f"{HEADS}{task}.{layer}weight" for layer in ("", "logit_fc.0.", "logit_fc.3.")]
    match [tuple(weights[name].shape) for name in layers if name in weights]:
        case [[outputs, _]]:
            return ("image_text_matching" if outputs == 1 else "classifier"), outputs, None
        case [[width, inputs], [outputs, _]]:
            return ("image_pair" if inputs == 2 * pooler_size else "vqa"), outputs, width
    raise UserError(f"{path}: found a head {task} of another kind, expected one linear layer, or the two of logit_fc")


def read_contrastive(path: Path, config: UniterConfig) -> Weights:
    """The contrastive projections beside VOLTA's weights under our names; none where there is no such file."""
    if not path.is_file():
        return {}
    try:
        found = load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path}: found {error}, expected contrastive projections") from error
    size = found["text.bias"].numel() if "text.bias" in found else 0
    size = size or config.contrastive_size
    expected = {"text.weight": (size, config.pooler_size), "text.bias": (size,),
                "image.weight": (size, config.region_pooled_size), "image.bias": (size,)}  # fmt: skip
    shapes = {name: tuple(value.shape) for name, value in found.items()}
    if shapes != expected:
        raise UserError(f"{path}: found {shapes}, expected projections of the shapes {expected}")
    return {f"{CONTRASTIVE}{name}": value for name, value in found.items()}


def check_weights(
    found: Weights, shapes: Mapping[str, torch.Size], names: dict[str, list[Names]], task: str | None, path: Path
) -> None:
    """Raise one UserError that lists the weights that are missing, unexpected, of another shape or ambiguous."""
    problems, known = [], set()
    for ours, parts in names.items():
        rows, *rest = shapes[ours]
        expected = (rows // len(parts), *rest)
        for part in parts:
            known.update(part)
            problems += _problems_of(part, found, expected)
    problems += [f"has {name}, which no part of the model takes" for name in found
                 if name not in known and not _is_left_out(name, task)]  # fmt: skip
    if problems:
        raise UserError(f"{path}: does not fit the configuration: it {'; '.join(problems)}")


def _is_left_out(name: str, task: str | None) -> bool:
    """Whether a weight is of a pre-training head or of another task's head."""
    return name.startswith(PRETRAINING_HEADS) or (name.startswith(HEADS) and name.split(".")[1] != task)


def _problems_of(names: Names, found: Weights, expected: tuple[int, ...]) -> list[str]:
    present = [name for name in names if name in found]
    if not present:
        return [f"lacks {names[0]}"]
    problems = [f"has {name} of shape {tuple(found[name].shape)} where {expected} is expected"
                for name in present if tuple(found[name].shape) != expected]  # fmt: skip
    problems += [f"has {name} with what is no finite number" for name in present
                 if not (found[name].is_floating_point() and found[name].isfinite().all())]  # fmt: skip
    if not problems and len(present) == 2 and not torch.equal(*(found[name] for name in present)):
        problems = [f"has {present[0]} and {present[1]} with other values where they are one weight"]
    return problems


def joined(found: Weights, parts: list[Names]) -> Tensor:
    """One of our weights, float32, from the ones of VOLTA's that make it up."""
    tensors = [next(found[name] for name in names if name in found).float() for names in parts]
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)
