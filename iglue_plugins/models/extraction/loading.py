"""Loading what turns pictures into regions, by a detector's name or as the metadata of a store describe it."""

from __future__ import annotations

import torch

from iglue_plugins.data.stores.format import ExtractionSettings
from iglue_plugins.models.extraction.base import RegionExtractor
from iglue_plugins.utils.errors import UserError


def load_extractor(
    settings: ExtractionSettings, weights: str | None = None, device: torch.device | str = "cpu"
) -> RegionExtractor:
    """Load what made the regions of a store."""
    raise UserError(f"{settings}: cannot be loaded yet; name images of the task by their ids")


def load_detector(
    name: str, preset: str | None, weights: str | None, revision: str | None, precision: str, device: torch.device
) -> RegionExtractor:
    """Load a detector by its name."""
    raise UserError(f"--detector: '{name}' cannot be loaded yet; name images of the task by their ids")
