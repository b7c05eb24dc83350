"""Logits in the order of the examples, whatever the batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from iglue_plugins.data.batching import Batcher
from iglue_plugins.evaluation.predict import blocks, classify, match_all, on_device
from iglue_plugins.mini.tasks import MiniMaRVL, MiniTask, MiniXFlickrCO, MiniXVNLI
from iglue_plugins.models import XUniterConfig, XUniterForVisionAndLanguage

HEADS = {MiniXVNLI: ("classifier", 3), MiniMaRVL: ("paired", 2), MiniXFlickrCO: ("matching", 1)}


@pytest.fixture(params=[MiniXVNLI, MiniMaRVL])
def cls(request: pytest.FixtureRequest) -> type[MiniTask]:
    return request.param


@pytest.fixture
def batcher(cls: type[MiniTask], monkeypatch: pytest.MonkeyPatch, tiny_checkpoint: Path) -> Batcher:
    monkeypatch.setattr(cls, "sizes", {"test": 11})
    task = cls()
    return Batcher(task.load("test", "ta"), task, AutoTokenizer.from_pretrained(tiny_checkpoint))


@pytest.fixture
def model(cls: type[MiniTask], tiny_checkpoint: Path) -> XUniterForVisionAndLanguage:
    """Weights that are large enough for examples to differ, in training mode."""
    head, num_labels = HEADS[cls]
    config = XUniterConfig.from_pretrained(tiny_checkpoint, initializer_range=0.5, head=head, num_labels=num_labels)
    torch.manual_seed(1)
    return XUniterForVisionAndLanguage(config).train()


def test_blocks_cover_an_order_in_turn() -> None:
    assert [block.tolist() for block in blocks(np.asarray([4, 2, 0, 1, 3]), 2)] == [[4, 2], [0, 1], [3]]
    assert list(blocks(np.asarray([], dtype=np.int64), 2)) == []


def test_a_batch_keeps_its_keys_on_another_device() -> None:
    moved = on_device({"labels": torch.zeros(2)}, torch.device("meta"))
    assert moved.keys() == {"labels"} and moved["labels"].device.type == "meta"


def test_logits_are_those_of_each_example_alone_in_the_batchers_order(
    batcher: Batcher, model: XUniterForVisionAndLanguage
) -> None:
    together = classify(model, batcher, batch_size=4)
    assert not model.training, "dropout is off"
    assert len(set(batcher.texts.lengths)) > 1
    with torch.no_grad():
        alone = torch.cat([model(**batcher.batch([i])) for i in range(11)])
    assert together.shape == (11, batcher.task.num_labels)
    assert (together.dtype, together.requires_grad) == (torch.float32, False)
    torch.testing.assert_close(together.clone(), alone, atol=1e-5, rtol=1e-5)
    assert alone.std(0).min() > 0.01, "examples differ"


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
@pytest.mark.parametrize("cls", [MiniXFlickrCO], indirect=True)
def test_matching_scores_equal_a_loop_over_captions_and_images(
    batcher: Batcher, model: XUniterForVisionAndLanguage, batch_size: int
) -> None:
    images = batcher.images[[5, 0, 7], 0]
    scores = match_all(model, batcher, images, batch_size)
    assert not model.training
    assert (scores.shape, scores.dtype) == ((11, 3), np.float32)
    for caption in range(11):
        for column, image in enumerate(images):
            with torch.no_grad():
                alone = model(**batcher.rows(np.asarray([caption]), np.asarray([image])))
            assert scores[caption, column] == pytest.approx(alone.item(), abs=1e-5)
    assert scores.std(0).min() > 0.01 and scores.std(1).min() > 0.01, "captions and images differ"
