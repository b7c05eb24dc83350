"""The processor of dual encoders that read region features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase
from typing_extensions import override

from iglue_plugins.data.inputs import Inputs
from iglue_plugins.data.processors.base import ImageFacts
from iglue_plugins.data.processors.regions import RegionImages, RegionProcessor
from iglue_plugins.data.processors.texts import DistinctTexts


class DistinctRegions(RegionImages):
    """Regions of a task's images, which stand once in a batch that has an image several times."""

    @override
    def inputs(self, positions: np.ndarray) -> Inputs:
        """Make the image side of some rows.

        Args:
            positions: (N,) int64, positions in the store.

        Returns:
            `image_rows` (N,) int64, which of the D distinct images each row has; and shared by all rows
            `region_features` (D, R, size) float32, `region_locations` (D, R, 5 or 7) float32 and `region_mask` (D, R)
            int64.
        """
        distinct, image_rows = np.unique(positions, return_inverse=True)
        shared = self._store.gather(distinct, self._layout)
        return Inputs({**shared, "image_rows": torch.from_numpy(image_rows)}, len(positions), frozenset(shared))


class RegionPairProcessor(RegionProcessor):
    """Makes token ids and region features, each distinct text and image once, as `PixelProcessor` does with pictures.

    Args:
        tokenizer: The model's tokenizer.
        location_size: The number of coordinates of a location, 5 or 7; see `RegionLayout`.
        text_prefix: What stands before each text, such as "query: " of E5.
        max_text_length: The number of tokens that the model has positions for.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, *, location_size: int, text_prefix: str, max_text_length: int
    ) -> None:
        super().__init__(tokenizer, global_region=False, location_size=location_size)
        self._prefix = text_prefix
        self._limit = min(tokenizer.model_max_length, max_text_length)

    @override
    def prepare_texts(self, texts: Sequence[str], max_length: int) -> DistinctTexts:  # type: ignore[override]
        prefixed = (self._prefix + text for text in texts)
        return DistinctTexts(prefixed, self.tokenizer, min(max_length, self._limit), padded_length=None)

    @override
    def prepare_images(self, task: ImageFacts) -> DistinctRegions:
        return DistinctRegions(task.regions, self.layout(task))
