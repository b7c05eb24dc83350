"""Detectors by their names."""

from __future__ import annotations

from typing import Literal

import torch

from iglue_plugins.models.detector.presets import PRESETS, Preset
from iglue_plugins.models.detector.visual_genome import NAME, VisualGenomeDetector
from iglue_plugins.models.detector.weights import PUBLISHED_WEIGHTS, find_weights, load_network
from iglue_plugins.models.extraction.base import RegionExtractor
from iglue_plugins.utils.errors import UserError, did_you_mean

DEFAULT_PRESET = "iglue-36"


def load_detector(
    name: str,
    preset: str | None = None,
    weights: str | None = None,
    revision: str | None = None,
    precision: Literal["float32", "bfloat16"] = "float32",
    device: torch.device | str = "cpu",
    boxes: int | None = None,
) -> RegionExtractor:
    """Load a detector; no code of its files is run.

    Args:
        name: 'vg-r101', or a folder or hub id of an object detector of transformers.
        preset: How pictures are resized and boxes chosen; None for the detector's usual preset.
        weights: A file, a folder or a hub id with the weights of 'vg-r101'; None for the published ones.
        revision: The hub revision.
        precision: What the detector computes in.
        device: Where it computes.
        boxes: The number of boxes of a picture, of a detector of transformers; None for its usual number.

    Returns:
        The detector.

    Raises:
        UserError: There is no such detector or preset, or its weights cannot be read or do not fit it.
    """
    if name != NAME:
        from iglue_plugins.models.detector import transformers_detector

        if weights is not None:
            raise UserError(f"--weights: {weights!r} is for the detector {NAME}; {name!r} has its own, so leave it out")
        count = transformers_detector.DEFAULT_BOXES if boxes is None else boxes
        return transformers_detector.load(name, preset, revision, precision, device, boxes=count)
    if boxes is not None:
        raise UserError(f"--boxes: the presets of {NAME} say how many boxes there are; choose one of these by --preset")
    chosen = _find_preset(preset or DEFAULT_PRESET)
    file = find_weights(weights or PUBLISHED_WEIGHTS, revision)
    return VisualGenomeDetector(load_network(file).to(device), chosen, file.name, file.revision, precision)


def _find_preset(name: str) -> Preset:
    if name not in PRESETS:
        raise UserError(f"--preset: {NAME} has no preset '{name}'{did_you_mean(name, PRESETS)}")
    return PRESETS[name]
