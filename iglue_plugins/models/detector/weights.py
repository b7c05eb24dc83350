"""The weights of bottom-up attention's detector: where they are, their reading, and whether they fit the network."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import snapshot_download
from safetensors.torch import load_file
from torch import Tensor, nn

from iglue_plugins.data.unpickling import safe_load_file
from iglue_plugins.models.checkpoints import MAX_NAMED_WEIGHTS
from iglue_plugins.models.detector.anchors import cell_anchors
from iglue_plugins.models.detector.backbone import FoldedConv
from iglue_plugins.models.detector.configuration import DetectorConfig, read_config
from iglue_plugins.models.detector.network import FasterRCNN
from iglue_plugins.utils.errors import UserError, first_line
from iglue_plugins.utils.files import content_hash
from iglue_plugins.utils.model_sources import is_missing_folder
from iglue_plugins.utils.text import printable, shown

PUBLISHED_WEIGHTS = "unc-nlp/frcnn-vg-finetuned"
CONFIG_FILE = "config.yaml"
USUAL_FILES = ("model.safetensors", "pytorch_model.bin")
SUFFIXES = (".safetensors", ".bin", ".pth", ".pkl")
WHERE = (
    "give the folder with pytorch_model.bin and config.yaml, or the .pkl of airsplay/py-bottom-up-attention; "
    "docs/detector.md says where they are"
)

ANCHORS = "proposal_generator.anchor_generator.cell_anchors.0"
ATTRIBUTE_PARTS = ("cls_embedding.", "fc_attr.", "attr_score.")  # of the predictor; some weights lack them
NORM_PARTS = ("weight", "bias", "running_mean", "running_var")
IGNORED = ("num_batches_tracked",)  # of the port of transformers, which never uses it


@dataclass(frozen=True)
class WeightsFile:
    """Says where weights are.

    Attributes:
        name: The hub id, or the name of the file or folder, for a store.
        revision: The hub's commit, or the hash of the files.
        path: The file of the weights.
        config: The file of the configuration; None where there is none.
    """

    name: str
    revision: str
    path: Path
    config: Path | None


def find_weights(source: str, revision: str | None = None) -> WeightsFile:
    """Find the file of the weights.

    Args:
        source: A file, a folder with one (and with config.yaml, if the network is not of the published sizes), or a
            hub id.
        revision: The hub revision.

    Raises:
        UserError: There are no weights, or a folder has several files that could be them.
    """
    path = Path(source)
    if not path.exists():
        return _download(source, revision)
    if revision is not None:
        raise UserError(f"the revision '{revision}' is of a hub id, but {source} is a file or folder; leave it out")
    file, config = (path, None) if path.is_file() else (_weights_in(path), path / CONFIG_FILE)
    config = config if config and config.is_file() else None
    hashes = content_hash(file) + (content_hash(config) if config else "")
    return WeightsFile(printable(path.resolve().name), hashlib.sha256(hashes.encode()).hexdigest(), file, config)


def load_network(file: WeightsFile) -> FasterRCNN:
    """Read weights, check that they fit the network of their configuration, and make it; no code in a file is run.

    Args:
        file: Where they are.

    Returns:
        The network, in evaluation mode, on the CPU in float32. Weights without the parts for attributes make a network
        without attributes, and anchors in the weights replace those that would be computed.

    Raises:
        UserError: The file cannot be read, or weights lack, are of another shape, or are of another network.
    """
    config = read_config(file.config) if file.config else DetectorConfig()
    weights = read_weights(file.path)
    if not any(part in name for name in weights for part in ATTRIBUTE_PARTS):
        config = replace(config, attributes=0)
    with torch.device("meta"):
        network = FasterRCNN(config)
    _check(file, weights, expected_shapes(network))
    weights.setdefault(ANCHORS, cell_anchors(config.anchor_sizes, config.anchor_ratios))
    return _fill(network.to_empty(device="cpu"), weights).eval()


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file by their names; no code in it is run.

    Args:
        path: A .safetensors file, one of torch.save (.bin, .pth), or a pickle of numpy arrays (.pkl); the weights may
            be under the key 'model'.

    Raises:
        UserError: The file cannot be read, or holds something else.
    """
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: is no file of weights ({', '.join(SUFFIXES)}); {WHERE}")
    content = safe_load_file(path) if path.suffix == ".pkl" else _load_tensors(path)
    if isinstance(content, Mapping) and isinstance(content.get("model"), Mapping):
        content = content["model"]
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: holds {shown(type(content).__name__)}, expected weights by their names; {WHERE}")
    return {str(name): _tensor(path, name, value) for name, value in content.items() if not str(name).endswith(IGNORED)}


def expected_shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all weights of a checkpoint by their names, where batch norms are not folded.

    Args:
        network: The network, which may be on the meta device.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for name, module in network.named_modules():
        tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        shapes |= {f"{name}.{part}": tuple(tensor.shape) for part, tensor in tensors}
        if isinstance(module, FoldedConv):
            outputs = shapes.pop(f"{name}.bias")
            shapes |= {f"{name}.norm.{part}": outputs for part in NORM_PARTS}
    return shapes


def _weights_in(folder: Path) -> Path:
    for name in USUAL_FILES:
        if (folder / name).is_file():
            return folder / name
    found = sorted(path.name for path in folder.iterdir() if path.suffix in SUFFIXES)
    if len(found) != 1:
        what = f"holds {' and '.join(map(printable, found))}" if found else "holds no weights"
        raise UserError(f"{folder}: {what}; " + ("name one of them" if found else WHERE))
    return folder / found[0]


def _download(source: str, revision: str | None) -> WeightsFile:
    """Find weights on the hub, or in its cache."""
    if is_missing_folder(source) or source.endswith(SUFFIXES):
        raise UserError(f"--weights: {source} does not exist; {WHERE}")
    try:
        folder = Path(
            snapshot_download(source, revision=revision or "main", allow_patterns=[*USUAL_FILES, CONFIG_FILE])
        )
    except Exception as error:  # the hub's client raises almost any error
        raise UserError(
            f"--weights: no weights can be loaded from {source!r} ({first_line(error)}); {WHERE}"
        ) from error
    path = next((folder / name for name in USUAL_FILES if (folder / name).is_file()), None)
    if path is None:
        raise UserError(f"--weights: {source!r} has no file {' or '.join(USUAL_FILES)}; {WHERE}")
    config = folder / CONFIG_FILE
    return WeightsFile(source, folder.name, path, config if config.is_file() else None)


def _load_tensors(path: Path) -> Any:
    load: Callable[[Path], Any] = load_file if path.suffix == ".safetensors" else _torch_load
    try:
        return load(path)
    except pickle.UnpicklingError as error:  # its message advises to run the file's code
        raise UserError(f"{path}: holds something else than weights, or is damaged; {WHERE}") from error
    except Exception as error:  # PyTorch raises almost any error for damaged files
        reason = first_line(error) or type(error).__name__
        raise UserError(f"{path}: cannot be read ({reason}); download it again, or {WHERE}") from error


def _torch_load(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _tensor(path: Path, name: object, value: object) -> Tensor:
    tensor = torch.from_numpy(np.array(value)) if _is_numbers(value) else value
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
        raise UserError(f"{path}: found {shown(value)} under {shown(name)}, expected weights; {WHERE}")
    return tensor


def _is_numbers(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _check(file: WeightsFile, weights: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Check names and shapes.

    Raises:
        UserError: Weights lack, are of another shape, or are of parts that the network has not.
    """
    lacking = [name for name in expected if name not in weights and name != ANCHORS]
    other_shape = [name for name in expected if name in weights and tuple(weights[name].shape) != expected[name]]
    roots = tuple({f"{name.partition('.')[0]}." for name in expected})
    unknown = [name for name in weights if name not in expected and name.startswith(roots)]
    problems = []
    if lacking:
        problems.append(f"it lacks {_some(lacking)}")
    if other_shape:
        shapes = [f"{name} of {tuple(weights[name].shape)} in the place of {expected[name]}" for name in other_shape]
        problems.append(f"of another shape are {_some(shapes)}")
    if unknown:
        problems.append(f"of another network are {_some(unknown)}")
    if problems:
        sizes = f"of {CONFIG_FILE}" if file.config else f"of the published sizes (a folder's {CONFIG_FILE} says others)"
        raise UserError(
            f"{file.path}: its weights do not fit the network {sizes}, which has {len(expected)}: "
            f"{'; '.join(problems)}; {WHERE}"
        )


def _some(names: list[str]) -> str:
    """Name the first few of a list."""
    more = len(names) - MAX_NAMED_WEIGHTS
    listed = ", ".join(printable(name) for name in names[:MAX_NAMED_WEIGHTS])
    return f"{listed} and {more} more" if more > 0 else listed


@torch.no_grad()
def _fill(network: FasterRCNN, weights: Mapping[str, Tensor]) -> FasterRCNN:
    """Put weights into an empty network; batch norms are folded."""
    for name, module in network.named_modules():
        if isinstance(module, FoldedConv):
            module.fold(weights[f"{name}.weight"], *(weights[f"{name}.norm.{part}"] for part in NORM_PARTS))
            continue
        for part, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            tensor.copy_(weights[f"{name}.{part}"])
    return network
