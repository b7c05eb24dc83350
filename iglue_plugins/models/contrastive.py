"""Projections of text and image into the space of the contrastive loss."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from iglue_plugins.models.configuration import UniterConfig

CONTRASTIVE = "contrastive."  # what the names of its weights begin with in a model


class ContrastiveProjections(nn.Module):
    """Two separate linear maps without activation, one for texts and one for images."""

    def __init__(self, config: UniterConfig) -> None:
        super().__init__()
        self.text = nn.Linear(config.pooler_size, config.contrastive_size)
        self.image = nn.Linear(config.region_pooled_size, config.contrastive_size)

    def forward(self, text_pooled: Tensor, region_pooled: Tensor) -> tuple[Tensor, Tensor]:
        """(N, pooler_size) and (N, region_pooled_size) -> (N, contrastive_size) each.

        The rows have L2 norm 1: dot products are cosines.
        """
        return F.normalize(self.text(text_pooled), dim=-1), F.normalize(self.image(region_pooled), dim=-1)
