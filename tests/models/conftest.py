"""A tiny model and a batch with padded texts and padded regions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from iglue_plugins.models import XUniterConfig, XUniterForVisionAndLanguage

SIZES = {
    "vocab_size": 61, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24,
    "max_position_embeddings": 32, "region_feature_size": 10, "pooler_size": 18, "classifier_hidden_size": 12,
    "contrastive_size": 8, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.2,
}  # fmt: skip


@pytest.fixture
def sizes() -> dict[str, int | float]:
    return dict(SIZES)


@pytest.fixture
def model(sizes: dict[str, int | float]) -> XUniterForVisionAndLanguage:
    torch.manual_seed(0)
    return XUniterForVisionAndLanguage(XUniterConfig(head="classifier", num_labels=3, **sizes)).eval()


@pytest.fixture
def batch() -> dict[str, Tensor]:
    """6 rows of at most 7 tokens and 5 regions, with labels."""
    draw = torch.Generator().manual_seed(1)
    attention_mask = (torch.arange(7) < torch.tensor([7, 4, 3, 6, 2, 7])[:, None]).long()
    region_mask = (torch.arange(5) < torch.tensor([5, 2, 3, 5, 1, 4])[:, None]).long()
    input_ids = torch.randint(4, 61, (6, 7), generator=draw)
    return {
        "input_ids": torch.where(attention_mask == 1, input_ids, 1),
        "attention_mask": attention_mask,
        "region_features": torch.randn(6, 5, 10, generator=draw),
        "region_locations": torch.rand(6, 5, 5, generator=draw),
        "region_mask": region_mask,
        "labels": torch.tensor([0, 1, 2, 1, 0, 2]),
    }
