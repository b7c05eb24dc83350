"""What turns pictures into regions, whatever model does it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from iglue_plugins.data.stores.format import ExtractionSettings


@dataclass(frozen=True)
class PreparedPicture:
    """Holds a picture as a model reads it.

    Attributes:
        pixels: (3, height, width) float32, what the model reads; pictures of one shape go through it together.
        size: Width and height of the picture itself in pixels.
        facts: What the extractor wants to know of the picture when it makes regions of the model's output.
    """

    pixels: Tensor
    size: tuple[int, int]
    facts: Any = None


@dataclass(frozen=True)
class PictureRegions:
    """Holds the regions of one picture, in the order of the store.

    Attributes:
        features: (n, D) float32.
        boxes: (n, 4) float32, x1 y1 x2 y2 in pixels of the picture.
        classes: (n,) int64, positions in the extractor's `class_names`; None where regions are no objects.
        scores: (n,) float32, probabilities of the classes; None as for `classes`.
        attributes: (n,) int64, positions in the extractor's `attribute_names`; None where there are none.
        attribute_scores: (n,) float32, probabilities of the attributes; None as for `attributes`.
    """

    features: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray | None = None
    scores: np.ndarray | None = None
    attributes: np.ndarray | None = None
    attribute_scores: np.ndarray | None = None


class UnusablePictureError(Exception):
    """Says why a picture has no regions, in words that are the same for like pictures, such as "no boxes"."""


class RegionExtractor(ABC):
    """Makes regions of pictures: a detector of objects, or a vision model whose map is cut into cells.

    Attributes:
        settings: All that determines the regions, for the store's metadata.
        feature_size: The number of features of a region.
        class_names: The names of classes; empty where regions are no objects, or where the names are not known.
        attribute_names: The names of attributes; empty where there are none, or where the names are not known.
    """

    settings: ExtractionSettings
    feature_size: int
    class_names: Sequence[str] = ()
    attribute_names: Sequence[str] = ()

    @abstractmethod
    def prepare(self, picture: Image.Image) -> PreparedPicture:
        """Turn a picture into what the model reads; processes that read pictures do this.

        Args:
            picture: The picture in mode RGB, upright.

        Raises:
            UnusablePictureError: The picture is of a size that the model cannot see.
            UserError: The model's image processor cannot be used with any picture.
        """

    @abstractmethod
    def extract(self, pictures: Sequence[PreparedPicture]) -> list[PictureRegions | UnusablePictureError]:
        """Make the regions of a batch of pictures.

        Args:
            pictures: The pictures, of any sizes.

        Returns:
            The regions of each picture, or why a picture has none, in the order of the pictures. They depend on the
            picture alone where the pictures of a batch differ in shape.

        Raises:
            UserError: The model cannot be used, or the device has no memory for so many pictures.
        """
