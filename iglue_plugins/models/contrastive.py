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

    def embed_text(self, pooled: Tensor) -> Tensor:
        """Project the pooled vectors of texts, (N, pooler_size) float, to (N, contrastive_size) of L2 norm 1."""
        return F.normalize(self.text(pooled), dim=-1)

    def embed_image(self, pooled: Tensor) -> Tensor:
        """Project the pooled vectors of images, (N, region_pooled_size), to (N, contrastive_size) of L2 norm 1."""
        return F.normalize(self.image(pooled), dim=-1)
