"""A processor that reads nothing, to make the steps of a training only to see if there are enough examples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from iglue_plugins.data.image_kind import ImageKind
from iglue_plugins.data.inputs import Inputs
from iglue_plugins.data.processors.base import ImageFacts, Processor


class PlanningProcessor(Processor):
    """Takes each different text for one token, and numbers the images.

    Args:
        reads: What the model of the training reads.
    """

    def __init__(self, reads: ImageKind) -> None:
        self.reads = reads  # type: ignore[misc]  # that of a model that is not loaded

    @override
    def prepare_texts(self, texts: Sequence[str], max_length: int) -> _PlannedTexts:
        return _PlannedTexts(texts)

    @override
    def prepare_images(self, task: ImageFacts) -> _PlannedImages:
        return _PlannedRegions(task) if self.reads == "regions" else _PlannedImages()

    @override
    def save_pretrained(self, folder: str | Path) -> None:
        """Save nothing: it stands for the processor of a model that is not loaded."""


class _PlannedTexts:
    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self.lengths = np.ones(len(texts), dtype=np.int64)

    @cached_property
    def identity(self) -> np.ndarray:
        first: dict[str, int] = {}
        places = (first.setdefault(text, place) for place, text in enumerate(self._texts))
        return np.fromiter(places, np.int64, len(self._texts))

    def inputs(self, rows: np.ndarray) -> Inputs:
        return Inputs({}, len(rows))


class _PlannedImages:
    def __init__(self) -> None:
        self._positions: dict[str, int] = {}

    def index(self, image_ids: Iterable[str]) -> np.ndarray:
        positions = self._positions
        return np.asarray([positions.setdefault(image, len(positions)) for image in image_ids], dtype=np.int64)

    def inputs(self, positions: np.ndarray) -> Inputs:
        return Inputs({}, len(positions))

    def descriptors(self, positions: np.ndarray) -> Tensor:
        return torch.zeros(len(positions), 1)


class _PlannedRegions(_PlannedImages):
    def __init__(self, task: ImageFacts) -> None:
        super().__init__()
        self._task = task

    def object_counts(self, positions: np.ndarray) -> np.ndarray:
        """Count the boxes of images, (N,) int64."""
        names, regions = list(self._positions), self._task.regions
        counts: np.ndarray = regions.box_counts(regions.index(names[position] for position in positions))
        return counts
