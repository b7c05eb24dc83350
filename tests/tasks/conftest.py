"""Small mini tasks, and a model whose logits can be computed row by row."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from iglue_plugins import registry
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.mini import ASSETS
from iglue_plugins.models.configuration import XUniterConfig
from iglue_plugins.tasks.base import Task


class RowModel(nn.Module):
    """A model whose logits are a simple function of tokens and regions; `lengths` has the text lengths by batch."""

    device = torch.device("cpu")
    config = XUniterConfig()

    def __init__(self, rows_per_example: int, num_labels: int) -> None:
        super().__init__()
        self.rows_per_example, self.num_labels = rows_per_example, num_labels
        self.lengths: list[list[int]] = []

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, region_features: Tensor, region_mask: Tensor, **_: Tensor
    ) -> Tensor:
        self.lengths.append(attention_mask.sum(1).tolist())
        text = (input_ids * attention_mask).sum(1).double()
        image = (region_features.double() * region_mask[..., None]).sum((1, 2))
        places = 1.0 + torch.arange(self.rows_per_example)
        examples = ((text + 10 * image).view(-1, self.rows_per_example) * places).sum(1, keepdim=True)
        return torch.sin(examples * (1.0 + torch.arange(self.num_labels)))


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(ASSETS / "tokenizer")


@pytest.fixture(scope="session")
def processor(tokenizer: PreTrainedTokenizerBase) -> RegionProcessor:
    return RegionProcessor(tokenizer)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Task]:
    """A mini task with 24 examples in each split."""

    def make(name: str) -> Task:
        cls = registry.tasks.load(f"mini/{name}")
        monkeypatch.setattr(cls, "sizes", dict.fromkeys(cls.sizes, 24))
        return cls()

    return make


@pytest.fixture
def row_model() -> type[RowModel]:
    return RowModel
