"""MaRVL: the two images of an example are one image of a contrastive pair."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.models.uniter import REGION_KEYS, join_images
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.pairs import ImageTextPairs


@pytest.fixture
def task(small: Callable[[str], Task]) -> Task:
    return small("marvl")


@pytest.fixture
def batch(task: Task, processor: RegionProcessor) -> Batch:
    return Batcher(task.load("test", "tr"), task, processor).batch(range(24))


def joined_regions(pairs: ImageTextPairs) -> dict[str, torch.Tensor]:
    """The regions of each pair's images, as a UNITER reads them."""
    joined = join_images([pairs.image[key] for key in REGION_KEYS], pairs.images_per_text)
    return dict(zip(REGION_KEYS, joined, strict=True))


def test_the_regions_of_both_images_are_one_sequence(task: Task, batch: Batch) -> None:
    pairs = task.aligned_pairs(batch, "all")
    longest = batch.inputs["region_mask"].shape[1]
    joined = joined_regions(pairs)
    assert (len(pairs), pairs.image.rows, pairs.images_per_text) == (24, 48, 2)
    assert joined["region_mask"].shape == (24, 2 * longest)
    for i in range(24):
        for key in REGION_KEYS:
            left, right = batch.inputs[key][2 * i], batch.inputs[key][2 * i + 1]
            assert torch.equal(joined[key][i, :longest], left)
            assert torch.equal(joined[key][i, longest:], right)
        assert torch.equal(pairs.text["input_ids"][i], batch.inputs["input_ids"][2 * i])
        assert torch.equal(pairs.text["attention_mask"][i], batch.inputs["attention_mask"][2 * i + 1])


def test_padding_between_the_images_stays_masked(task: Task, batch: Batch) -> None:
    mask = joined_regions(task.aligned_pairs(batch, "all"))["region_mask"]
    counts = [sum(len(scene.objects) + 1 for scene in scenes) for scenes, _, _ in task.examples("test")]
    assert mask.sum(1).tolist() == counts
    assert len(set(counts)) > 1, "some examples have padding"


def test_aligned_pairs_are_the_true_statements(task: Task, batch: Batch) -> None:
    keep = torch.tensor([label == "True" for label in task.load("test", "tr")["label"]])
    assert 0 < keep.sum() < 24
    every, aligned = task.aligned_pairs(batch, "all"), task.aligned_pairs(batch, "aligned")
    assert len(aligned) == keep.sum() and aligned.text.keys() == every.text.keys()
    assert all(torch.equal(aligned.text[key], every.text[key][keep]) for key in every.text)
    expected, found = joined_regions(every), joined_regions(aligned)
    assert all(torch.equal(found[key], expected[key][keep]) for key in REGION_KEYS)
    assert torch.equal(aligned.image_identity, every.image_identity[keep])
    assert torch.equal(aligned.text_identity, every.text_identity[keep])
