"""A tiny dual encoder: its score of a text and an image depends on the dot product of their embeddings alone."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from iglue_plugins.data.inputs import Inputs
from iglue_plugins.models.configuration import XUniterConfig
from iglue_plugins.models.uniter import XUniterForVisionAndLanguage


class TwoTowers(XUniterForVisionAndLanguage):
    """A UNITER whose text-only and image-only passes are its towers.

    Attributes:
        texts: The number of texts of each call of `embed_text`.
        images: The number of images of each call of `embed_image`.
    """

    is_dual_encoder: ClassVar[bool] = True

    def __init__(self, config: XUniterConfig) -> None:
        super().__init__(config)
        self.texts: list[int] = []
        self.images: list[int] = []

    @classmethod
    def random(cls, checkpoint: Path | str) -> TwoTowers:
        """Make a model of a checkpoint's sizes with random weights, large enough for pairs to differ."""
        torch.manual_seed(1)
        return cls(XUniterConfig.from_pretrained(checkpoint, initializer_range=0.5))

    def embed_text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        self.texts.append(len(input_ids))
        return super().embed_text(input_ids, attention_mask)

    def embed_image(
        self, region_features: Tensor, region_locations: Tensor, region_mask: Tensor, images_per_text: int = 1
    ) -> Tensor:
        self.images.append(len(region_mask))
        return super().embed_image(region_features, region_locations, region_mask, images_per_text)

    def precompute_embeddings(self, inputs: Inputs) -> Inputs:
        return inputs  # neither tower takes embeddings of words or regions

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **image: Tensor) -> Tensor:
        """Compute the logits of (text, image) rows, 20 * cosine - 3: (N, 1) float."""
        text = super().embed_text(input_ids, attention_mask)
        return 20 * (text * super().embed_image(**image)).sum(-1, keepdim=True) - 3
