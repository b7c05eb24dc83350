"""Logits and matching scores do not depend on the batches, and are in the order of the examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import AutoTokenizer

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.inputs import Inputs
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.data.regions import RegionLayout
from iglue_plugins.evaluation.inference import _blocks, classify, match_all, pair_grid
from iglue_plugins.mini.tasks import MiniMaRVL, MiniTask, MiniXFlickrCO, MiniXVNLI
from iglue_plugins.models.configuration import XUniterConfig
from iglue_plugins.models.uniter import UniterForVisionAndLanguage, XUniterForVisionAndLanguage

HEADS = {MiniXVNLI: ("classifier", 3), MiniMaRVL: ("image_pair", 2), MiniXFlickrCO: ("image_text_matching", 1)}


@pytest.fixture(params=[MiniXVNLI, MiniMaRVL])
def cls(request: pytest.FixtureRequest) -> type[MiniTask]:
    return request.param


@pytest.fixture
def batcher(cls: type[MiniTask], monkeypatch: pytest.MonkeyPatch, tiny_checkpoint: Path) -> Batcher:
    monkeypatch.setattr(cls, "sizes", {"test": 11})
    task = cls()
    return Batcher(task.load("test", "ta"), task, RegionProcessor(AutoTokenizer.from_pretrained(tiny_checkpoint)))


@pytest.fixture
def model(cls: type[MiniTask], tiny_checkpoint: Path) -> XUniterForVisionAndLanguage:
    """A model in training mode, with weights that are large enough for examples to differ."""
    head, num_labels = HEADS[cls]
    config = XUniterConfig.from_pretrained(tiny_checkpoint, initializer_range=0.5, head=head, num_labels=num_labels)
    torch.manual_seed(1)
    return XUniterForVisionAndLanguage(config).train()


def test_blocks_are_slices_that_cover_a_sequence() -> None:
    assert _blocks(5, 2) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert _blocks(0, 2) == []


def test_logits_are_those_of_each_example_alone_in_the_order_of_the_examples(
    batcher: Batcher, model: XUniterForVisionAndLanguage
) -> None:
    together = classify(model, batcher, batch_size=4)
    assert not model.training, "dropout is off"
    assert len(set(batcher.texts.lengths)) > 1
    with torch.no_grad():
        alone = torch.cat([model(**batcher.batch([i]).inputs) for i in range(11)])
    assert together.shape == (11, batcher.task.num_labels)
    assert (together.dtype, together.requires_grad) == (torch.float32, False)
    torch.testing.assert_close(together.clone(), alone, atol=1e-5, rtol=1e-5)
    assert alone.std(0).min() > 0.01, "examples differ"


@pytest.mark.parametrize("batch_size", [1, 2, 7, 1000])
@pytest.mark.parametrize("cls", [MiniXFlickrCO], indirect=True)
def test_matching_scores_equal_a_loop_over_captions_and_images(
    batcher: Batcher, model: XUniterForVisionAndLanguage, batch_size: int
) -> None:
    images = batcher.images[[5, 0, 7, 2, 9], 0]
    boxes = batcher.task.regions.gather(images)["region_mask"].sum(1)
    assert len(set(boxes.tolist())) > 1 and len(set(batcher.texts.lengths)) > 1
    scores = match_all(model, batcher, images, batch_size)
    assert not model.training
    assert (scores.shape, scores.dtype) == ((11, 5), np.float32)
    for caption in range(11):
        for column, image in enumerate(images):
            pair = batcher.rows(np.asarray([caption]), np.asarray([caption]), np.asarray([image]))
            with torch.no_grad():
                alone = model(**pair.inputs)
            assert scores[caption, column] == pytest.approx(alone.item(), abs=1e-5)
    assert scores.std(0).min() > 0.01 and scores.std(1).min() > 0.01, "captions and images differ"


@pytest.mark.parametrize(("batch_size", "reads"), [(2, [2, 2, 1]), (4, [3, 2]), (5, [5]), (1000, [5])])
@pytest.mark.parametrize("cls", [MiniXFlickrCO], indirect=True)
def test_regions_are_read_once_and_no_batch_is_larger_than_asked_for(
    batcher: Batcher,
    model: XUniterForVisionAndLanguage,
    batch_size: int,
    reads: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gather, found, rows = batcher.task.regions.gather, [], []

    def recording(positions: np.ndarray, layout: RegionLayout) -> dict[str, torch.Tensor]:
        found.append(len(positions))
        return gather(positions, layout)

    monkeypatch.setattr(batcher.task.regions, "gather", recording)
    model.register_forward_pre_hook(lambda _, args, kwargs: rows.append(len(kwargs["region_mask"])), with_kwargs=True)
    match_all(model, batcher, batcher.images[:5, 0], batch_size)
    assert found == reads
    assert max(rows) <= batch_size and sum(rows) == 11 * 5


@pytest.mark.parametrize("batch_size", [1, 2, 7, 1000])
@pytest.mark.parametrize("cls", [MiniXFlickrCO], indirect=True)
def test_captions_with_the_same_text_tie(batcher: Batcher, model: XUniterForVisionAndLanguage, batch_size: int) -> None:
    rows = batcher.dataset.to_dict()
    rows["text"][8] = rows["text"][3] = rows["text"][6]
    twins = Batcher(Dataset.from_dict(rows), batcher.task, batcher.processor)
    images = batcher.images[:4, 0]
    scores = match_all(model, twins, images, batch_size)
    assert (scores[8] == scores[6]).all() and (scores[3] == scores[6]).all()
    expected = match_all(model, batcher, images, batch_size)[[0, 1, 2, 6, 4, 5, 6, 7, 6, 9, 10]]
    np.testing.assert_allclose(scores, expected, atol=1e-5)


@pytest.mark.parametrize("cls", [MiniXFlickrCO], indirect=True)
def test_scores_in_bfloat16_tie_no_more_than_in_float32(batcher: Batcher, model: XUniterForVisionAndLanguage) -> None:
    images, expected = batcher.images[:4, 0], match_all(model, batcher, batcher.images[:4, 0], 4)
    scores = match_all(model.to(torch.bfloat16), batcher, images, batch_size=4)
    assert np.corrcoef(scores.ravel(), expected.ravel())[0, 1] > 0.99
    assert len(np.unique(scores)) == len(np.unique(expected)), "bfloat16 has too few numbers to tell pairs apart"


@pytest.mark.parametrize("cls", [MiniXFlickrCO], indirect=True)
def test_a_model_without_precomputed_embeddings_gives_the_same_scores(
    batcher: Batcher, model: XUniterForVisionAndLanguage, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = match_all(model, batcher, batcher.images[:4, 0], 8)
    monkeypatch.delattr(UniterForVisionAndLanguage, "precompute_embeddings")
    np.testing.assert_allclose(match_all(model, batcher, batcher.images[:4, 0], 8), expected, atol=1e-5)


def test_one_text_is_paired_with_images_without_a_copy_of_their_regions() -> None:
    regions = Inputs({"region_features": torch.rand(4, 3, 2), "region_mask": torch.ones(4, 3)}, 4)
    ids = torch.arange(6).view(2, 3)
    texts = Inputs({"input_ids": ids, "attention_mask": torch.ones(2, 3)}, 2)
    text, image = pair_grid(texts.select(slice(1)), regions)
    assert image["region_features"].data_ptr() == regions["region_features"].data_ptr()
    assert (text.rows, image.rows, text["input_ids"].tolist()) == (4, 4, 4 * [[0, 1, 2]])
    text, image = pair_grid(texts, regions)
    assert (text.rows, image.rows) == (8, 8)
    assert text["input_ids"].tolist() == 4 * [[0, 1, 2]] + 4 * [[3, 4, 5]]
    assert torch.equal(image["region_features"], torch.cat([regions["region_features"]] * 2))


def test_one_process_starts_no_process_group(batcher: Batcher, model: XUniterForVisionAndLanguage) -> None:
    classify(model, batcher, batch_size=4)
    assert not torch.distributed.is_initialized()
