"""MaRVL: the two images of an example are one image of a contrastive pair."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.tasks.base import Task

REGION_KEYS = ("region_features", "region_locations", "region_mask")


@pytest.fixture
def task(small: Callable[[str], Task]) -> Task:
    return small("marvl")


@pytest.fixture
def batch(task: Task, tokenizer: PreTrainedTokenizerBase) -> Batch:
    return Batcher(task.load("test", "tr"), task, tokenizer).batch(range(24))


def test_the_regions_of_both_images_are_one_sequence(task: Task, batch: Batch) -> None:
    pairs = task.aligned_pairs(batch, "all")
    longest = batch["region_mask"].shape[1]
    assert pairs["region_mask"].shape == (24, 2 * longest)
    for i in range(24):
        for key in REGION_KEYS:
            left, right = batch[key][2 * i], batch[key][2 * i + 1]
            assert torch.equal(pairs[key][i, :longest], left)
            assert torch.equal(pairs[key][i, longest:], right)
        assert torch.equal(pairs["input_ids"][i], batch["input_ids"][2 * i])
        assert torch.equal(pairs["attention_mask"][i], batch["attention_mask"][2 * i + 1])


def test_padding_between_the_images_stays_masked(task: Task, batch: Batch) -> None:
    mask = task.aligned_pairs(batch, "all")["region_mask"]
    counts = [sum(len(scene.objects) + 1 for scene in scenes) for scenes, _, _ in task.examples("test")]
    assert mask.sum(1).tolist() == counts
    assert len(set(counts)) > 1, "some examples have padding"


def test_aligned_pairs_are_the_true_statements(task: Task, batch: Batch) -> None:
    keep = torch.tensor([label == "True" for label in task.load("test", "tr")["label"]])
    assert 0 < keep.sum() < 24
    every, aligned = task.aligned_pairs(batch, "all"), task.aligned_pairs(batch, "aligned")
    assert every.keys() == aligned.keys()
    assert all(torch.equal(aligned[key], every[key][keep]) for key in every)
