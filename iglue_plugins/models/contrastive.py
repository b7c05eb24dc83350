"""Projections of text and image into the space of the contrastive loss."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from iglue_plugins.models.configuration import UniterConfig

CONTRASTIVE_PREFIX = "contrastive."  # prefix of the projections' weights in a model's state dict


class ContrastiveProjections(nn.Module):
    """Two separate linear maps without activation, one for texts and one for images.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: UniterConfig) -> None:
        super().__init__()
        self.text = nn.Linear(config.pooler_size, config.contrastive_size)
        self.image = nn.Linear(config.region_pooled_size, config.contrastive_size)

    def forward(self, text_pooled: Tensor, region_pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Project pooled vectors and normalize them, so that their dot products are cosines.

        Args:
            text_pooled: (N, pooler_size) float.
            region_pooled: (N, region_pooled_size) float.

        Returns:
            Text and image embeddings, each (N, contrastive_size) with rows of L2 norm 1.
        """
        return F.normalize(self.text(text_pooled), dim=-1), F.normalize(self.image(region_pooled), dim=-1)
