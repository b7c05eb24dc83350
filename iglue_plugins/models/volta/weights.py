"""Files of VOLTA's weights: reading them without running code, and checking them against a model."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from iglue_plugins.models.configuration import UniterConfig
from iglue_plugins.models.contrastive import CONTRASTIVE_PREFIX
from iglue_plugins.models.volta.names import HEAD_PREFIX, PRETRAINING_PREFIX, Names
from iglue_plugins.utils.errors import UserError

CONTRASTIVE_FILE = "contrastive.safetensors"  # beside the weights, since VOLTA has no contrastive projections
WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
Weights = dict[str, Tensor]


def read_weights(path: Path) -> Weights:
    """Read a file of PyTorch weights; nothing in the file is executed.

    Args:
        path: The file.

    Returns:
        The weights by name, without what DataParallel, torch.compile and other wrappers of modules add to names.

    Raises:
        UserError: The file cannot be read, is damaged, would run code, or holds something else than a state dict of
            dense tensors, each once.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # PyTorch warns of a pickle protocol that it then refuses
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        reason = error.strerror or "the file is cut off"
        raise UserError(f"{path}: cannot be read ({reason}); give a file of PyTorch weights") from error
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
        reason = unreadable_pickle_reason(error)
        raise UserError(f"{path}: is refused, because {reason}; give a file of PyTorch weights alone") from error
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: holds a {type(content).__name__}; give a state dict, which maps names to tensors")
    weights: Weights = {}
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise UserError(
                f"{path}: holds a {type(value).__name__} under {name!r}; give a state dict, which maps names to tensors"
            )
        if (kind := _unusable_kind(value)) is not None:
            raise UserError(f"{path}: holds {name} as a tensor that is {kind}; save the weights as dense tensors")
        plain_name = ".".join(part for part in name.split(".") if part not in WRAPPERS)
        if plain_name in weights:
            raise UserError(f"{path}: holds {plain_name} twice, once as {name}; give a file with each weight once")
        weights[plain_name] = value.detach()
    return weights


def unreadable_pickle_reason(error: Exception) -> str:
    """Say why PyTorch does not read a file of weights; its own message advises to run what the file holds.

    Args:
        error: The error that PyTorch raised.
    """
    code = re.search(r"\bGLOBAL ([\w.]+)", str(error))
    return f"it holds {code[1]}, which is code" if code else "it is cut off, damaged or of another kind"


def _unusable_kind(value: Tensor) -> str | None:
    """Say what keeps a tensor from being a weight, or None if nothing does."""
    if value.is_meta:
        return "without its values (on the device 'meta')"
    if value.is_nested:
        return "nested"
    if value.layout is not torch.strided:
        return f"sparse ({value.layout})"
    if value.is_quantized:
        return f"quantized ({value.dtype})"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return "expanded from fewer values"
    return None


def read_contrastive(path: Path, config: UniterConfig) -> Weights:
    """Read the contrastive projections beside VOLTA's weights.

    Args:
        path: The file, which need not exist.
        config: The model's configuration.

    Returns:
        The projections' weights under our names; none if there is no such file.

    Raises:
        UserError: The file is damaged, or holds projections of other shapes.
    """
    if not path.is_file():
        return {}
    try:
        weights = load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path}: cannot be read ({error}); delete it to draw new contrastive projections") from error
    size = weights["text.bias"].numel() if "text.bias" in weights else 0
    size = size or config.contrastive_size
    expected = {"text.weight": (size, config.pooler_size), "text.bias": (size,),
                "image.weight": (size, config.region_pooled_size), "image.bias": (size,)}  # fmt: skip
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    if shapes != expected:
        raise UserError(
            f"{path}: holds contrastive projections of the shapes {shapes}, but the model's are {expected}; delete it "
            "to draw new ones"
        )
    return {f"{CONTRASTIVE_PREFIX}{name}": value for name, value in weights.items()}


def check_weights(
    stored: Weights, shapes: Mapping[str, torch.Size], names: dict[str, list[Names]], task: str | None, path: Path
) -> None:
    """Check that VOLTA's weights are those of a model.

    Args:
        stored: VOLTA's weights by VOLTA's names.
        shapes: The shapes of the model's weights by our names.
        names: VOLTA's names of the model's weights (`volta_names`).
        task: The task whose head is kept; None: no head.
        path: The file of weights, for the error.

    Raises:
        UserError: Weights are missing, left over, of another shape, not finite or ambiguous. The error lists them all.
    """
    problems: list[str] = []
    known: set[str] = set()
    for ours, parts in names.items():
        rows, *rest = shapes[ours]
        expected = (rows // len(parts), *rest)
        for part in parts:
            known.update(part)
            problems += _weight_problems(part, stored, expected)
    problems += [f"has {name}, which no part of the model takes" for name in stored
                 if name not in known and not _is_left_out(name, task)]  # fmt: skip
    if problems:
        raise UserError(f"{path}: does not fit the configuration: it {'; '.join(problems)}")


def _is_left_out(name: str, task: str | None) -> bool:
    """Tell whether a weight belongs to a pre-training head or to another task's head."""
    return name.startswith(PRETRAINING_PREFIX) or (name.startswith(HEAD_PREFIX) and name.split(".")[1] != task)


def _weight_problems(names: Names, stored: Weights, expected: tuple[int, ...]) -> list[str]:
    """Say what is wrong with a weight that is stored under one or several names."""
    present = [name for name in names if name in stored]
    if not present:
        return [f"lacks {names[0]}"]
    problems = [f"has {name} of shape {tuple(stored[name].shape)} where {expected} is expected"
                for name in present if tuple(stored[name].shape) != expected]  # fmt: skip
    problems += [f"has {name} with values that are not finite numbers" for name in present
                 if tuple(stored[name].shape) == expected and not _is_finite(stored[name])]  # fmt: skip
    if not problems and len(present) == 2 and not torch.equal(*(stored[name] for name in present)):
        problems = [f"has {present[0]} and {present[1]} with different values, though they are one weight"]
    return problems


def _is_finite(value: Tensor) -> bool:
    return value.is_floating_point() and bool(value.float().isfinite().all())  # few functions know 8-bit numbers


def join_parts(stored: Weights, parts: list[Names]) -> Tensor:
    """Concatenate the weights of VOLTA that make up one of ours.

    Args:
        stored: VOLTA's weights by VOLTA's names.
        parts: VOLTA's names of each part.

    Returns:
        The weight, float32.
    """
    tensors = [next(stored[name] for name in names if name in stored).float() for names in parts]
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)
