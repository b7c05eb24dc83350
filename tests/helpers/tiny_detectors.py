"""The reference's tiny detector with random weights, in the forms in which weights are published."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from iglue_plugins.models.detector.network import FasterRCNN
from iglue_plugins.models.detector.presets import PRESETS, ImageSize, Preset
from iglue_plugins.models.detector.proposals import ProposalSettings
from iglue_plugins.models.detector.visual_genome import VisualGenomeDetector
from iglue_plugins.models.detector.weights import find_weights, load_network

ASSETS = Path(__file__).parents[1] / "assets" / "detector"


def tiny_weights() -> dict[str, Tensor]:
    return load_file(ASSETS / "tiny_weights.safetensors")


def write_tiny(folder: Path, weights: dict[str, Tensor] | None = None, name: str = "model.safetensors") -> Path:
    """Write the configuration and weights to a folder, in the form that the file's name stands for."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ASSETS / "tiny_config.yaml", folder / "config.yaml")
    weights = tiny_weights() if weights is None else weights
    if name.endswith(".safetensors"):
        save_file(weights, folder / name)
    elif name.endswith(".pkl"):
        arrays = {key: tensor.numpy() for key, tensor in weights.items()}
        (folder / name).write_bytes(pickle.dumps({"model": arrays, "__author__": "someone"}))
    else:
        torch.save(weights, folder / name)
    return folder


def load_tiny(folder: Path, proposals: int = 150) -> FasterRCNN:
    """Load the network of a folder with the reference's number of proposals."""
    network = load_network(find_weights(str(folder)))
    network.settings = ProposalSettings(count=proposals)
    return network


def tiny_preset(name: str, **choice: Any) -> Preset:
    """Return a preset with the reference's size of pictures for its tiny detector."""
    preset = PRESETS[name]
    return replace(preset, size=ImageSize(192, 320, preset.size.resizing), choice=replace(preset.choice, **choice))


def tiny_detector(network: FasterRCNN, preset: Preset, **options: Any) -> VisualGenomeDetector:
    return VisualGenomeDetector(network, preset, "tiny", "0" * 64, **options)


def picture(path: Path = ASSETS / "img2.png") -> Image.Image:
    with Image.open(path) as opened:
        return opened.convert("RGB")
