"""Loading what turns pictures into regions, as the metadata of a store describe it."""

from __future__ import annotations

from pathlib import Path

import torch

from iglue_plugins.data.stores.format import DetectionSettings, ExtractionSettings, GridSettings
from iglue_plugins.models.detector.loading import load_detector
from iglue_plugins.models.detector.visual_genome import NAME
from iglue_plugins.models.extraction.base import RegionExtractor
from iglue_plugins.models.extraction.grid import load_grid_extractor
from iglue_plugins.utils.errors import UserError

COMMIT_DIGITS = 40  # of a revision of the hub; the hash of a file's or folder's content has 64


def load_extractor(
    settings: ExtractionSettings, weights: str | None = None, device: torch.device | str = "cpu"
) -> RegionExtractor:
    """Load what made the regions of a store.

    Args:
        settings: What the store's metadata say of it.
        weights: The file, folder or hub id of its weights; None takes the hub id in the settings, at its commit.
        device: Where it computes.

    Returns:
        The extractor, whose `settings` are the store's if it is the same one.

    Raises:
        UserError: The settings have the name of a file or folder alone and no weights are given, or they cannot be
            loaded.
    """
    source = weights or _hub_id(settings)
    revision = None if Path(source).exists() else settings.revision
    if isinstance(settings, GridSettings):
        return load_grid_extractor(source, revision, settings.grid, settings.precision, device)
    if settings.detector == NAME:
        return load_detector(NAME, settings.preset, source, revision, settings.precision, device)
    return load_detector(source, settings.preset, None, revision, settings.precision, device, settings.options["boxes"])


def _hub_id(settings: ExtractionSettings) -> str:
    name = settings.weights if isinstance(settings, DetectionSettings) else settings.model
    if len(settings.revision) > COMMIT_DIGITS:
        raise UserError(
            f"--weights is missing: the store says of what made its regions that it is a file or folder '{name}', but "
            "not where; give its path"
        )
    return name
