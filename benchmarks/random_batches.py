"""A task without examples, and batches of random numbers, for the benchmarks of a meta-step."""

from __future__ import annotations

import torch
from datasets import Dataset
from torch import Tensor

from iglue_plugins.data.batching import Batch
from iglue_plugins.data.inputs import Inputs
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.xvnli import XVNLI

TOKENS, REGIONS, EXAMPLES = 20, 37, 8


def random_task() -> Task:
    """A task without examples: a head of three labels."""

    class RandomXVNLI(XVNLI):
        name = "random"
        regions = None

        def load(self, split: str, language: str, shots: int | str | None = None) -> Dataset:
            return Dataset.from_list([])

        def fingerprint(self) -> str:
            return ""

    return RandomXVNLI()


def random_batch(seed: int, words: int = 250_002, examples: int = EXAMPLES, tokens: int = TOKENS) -> Batch:
    """8 examples of 20 tokens, unless other numbers are given, and 37 regions."""
    draw = torch.Generator().manual_seed(seed)
    text = {
        "input_ids": torch.randint(5, words, (examples, tokens), generator=draw),
        "attention_mask": torch.ones(examples, tokens, dtype=torch.long),
    }
    image = {
        "region_features": torch.randn(examples, REGIONS, 2048, generator=draw),
        "region_locations": torch.rand(examples, REGIONS, 5, generator=draw),
        "region_mask": torch.ones(examples, REGIONS, dtype=torch.long),
    }
    return make_batch(text, image, torch.randint(3, (examples,), generator=draw))


def make_batch(text: dict[str, Tensor], image: dict[str, Tensor], labels: Tensor) -> Batch:
    """A batch of different texts and images."""
    places = torch.arange(len(labels))
    both, *sides = (Inputs(tensors, len(labels)) for tensors in (text | image, text, image))
    return Batch(both, *sides, labels, places.unsqueeze(1), places)
