"""Retrieval among the images of a group."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer
from two_towers import TwoTowers

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.evaluation.inference import match_all
from iglue_plugins.evaluation.metrics import retrieval_ranks
from iglue_plugins.evaluation.retrieval import evaluate_retrieval, image_groups
from iglue_plugins.mini.tasks import MiniXFlickrCO


@pytest.fixture
def batcher(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Batcher:
    monkeypatch.setattr(MiniXFlickrCO, "sizes", {"test": 11})
    task = MiniXFlickrCO()
    return Batcher(task.load("test", "ta"), task, RegionProcessor(AutoTokenizer.from_pretrained(tiny_checkpoint)))


def test_groups_follow_the_order_of_the_split() -> None:
    image_of_caption = np.asarray([30, 30, 10, 40, 10, 20, 50])
    images = np.unique(image_of_caption)
    assert image_groups(image_of_caption, images, 2).tolist() == [0, 1, 0, 1, 2]  # of 10, 20, 30, 40, 50
    assert image_groups(image_of_caption, images, 5) is None
    assert image_groups(image_of_caption, images, None) is None


@pytest.mark.parametrize("is_dual_encoder", [True, False])
def test_captions_are_scored_and_ranked_within_their_groups(
    batcher: Batcher, tiny_checkpoint: Path, is_dual_encoder: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TwoTowers, "is_dual_encoder", is_dual_encoder)
    model = TwoTowers.random(tiny_checkpoint)
    images, image_of_caption = np.unique(batcher.images[:, 0], return_inverse=True)
    groups = image_groups(batcher.images[:, 0], images, 4)
    assert np.bincount(groups).tolist() == [4, 4, 3]
    whole = match_all(model, batcher, images, 64)
    found = match_all(model, batcher, images, 64, groups=groups)
    same = groups[image_of_caption][:, None] == groups
    np.testing.assert_allclose(found[same], whole[same], rtol=1e-5, atol=1e-5)
    assert np.isneginf(found[~same]).all()

    rows, metrics = evaluate_retrieval(batcher, model, 64, pool=4)
    assert [len(row["prediction"]) for row in rows] == same.sum(1).tolist()
    ranks, _ = retrieval_ranks(np.where(same, whole, -np.inf), image_of_caption)
    assert metrics["image_recall@1"] == pytest.approx(100 * (ranks == 1).mean())
    assert metrics["image_recall@5"] == 100
