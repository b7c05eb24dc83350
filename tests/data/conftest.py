"""Toy tasks whose texts are token ids in words and whose region features are given number by number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import Dataset

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.data.regions import InMemoryRegions
from iglue_plugins.tasks.base import Task

Images = dict[str, list[list[float]]]


class NumberTokenizer:
    """'7 8' is <s> 7 8 </s>: ids 0 7 8 2."""

    pad_token_id = 1

    def __call__(self, texts: list[str], truncation: bool, max_length: int, **_: object) -> SimpleNamespace:
        return SimpleNamespace(input_ids=[[0, *map(int, text.split()), 2][:max_length] for text in texts])


@pytest.fixture
def make_store() -> Callable[[Images], InMemoryRegions]:
    """A store of images, {id: a list of numbers for each region}; all boxes are [10 20 30 40] of 100 x 100 pixels."""

    def make(images: Images) -> InMemoryRegions:
        store = InMemoryRegions(feature_size=2, max_boxes=3)
        store.add(
            {
                image_id: (np.asarray(features, dtype=np.float32), _boxes(len(features)))
                for image_id, features in images.items()
            },
            100,
            100,
        )
        return store

    return make


def _boxes(count: int) -> np.ndarray:
    return np.tile(np.asarray([[10, 20, 30, 40]], dtype=np.float32), (count, 1))


@pytest.fixture
def make_batcher(make_store: Callable[[Images], InMemoryRegions]) -> Callable[..., Batcher]:
    """Batches of a kind of task over rows (text, image ids, label) or (text, image ids, label, caption)."""

    def make(kind: type[Task], rows: Sequence[tuple], images: Images) -> Batcher:
        class Toy(kind):
            name = "toy"
            regions = make_store(images)

            def load(self, split: str, language: str, shots: int | None = None) -> Dataset:
                raise AssertionError("a batcher is given its examples")

            def fingerprint(self, split: str, language: str, shots: int | str | None = None) -> str:
                return ""

        names = ("text", "image_ids", "label", "caption")
        columns = {name: [row[i] for row in rows] for i, name in enumerate(names[: len(rows[0]) if rows else 3])}
        return Batcher(Dataset.from_dict(columns), Toy(), RegionProcessor(NumberTokenizer(), global_region=False))

    return make
