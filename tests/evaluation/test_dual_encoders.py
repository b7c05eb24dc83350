"""Retrieval by a dual encoder: each text and each image is embedded once, and pairs rank as their logits do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import AutoTokenizer
from two_towers import TwoTowers

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.evaluation.evaluator import evaluate
from iglue_plugins.evaluation.inference import classify, match_all
from iglue_plugins.evaluation.retrieval import candidate_accuracy
from iglue_plugins.mini.tasks import MiniXFlickrCO


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> MiniXFlickrCO:
    """Captions 0, 1 and 2 are one text, as translations may be; 3 and 4 have one image."""
    monkeypatch.setattr(MiniXFlickrCO, "sizes", {"test": 11})
    task = MiniXFlickrCO()
    load = task.load

    def alike(split: str, language: str, shots: int | str | None = None) -> Dataset:
        rows = load(split, language, shots).to_dict()
        rows["text"][1] = rows["text"][2] = rows["text"][0]
        rows["image_ids"][4] = rows["image_ids"][3]
        return Dataset.from_dict(rows)

    monkeypatch.setattr(task, "load", alike)
    return task


@pytest.fixture
def processor(tiny_checkpoint: Path) -> RegionProcessor:
    return RegionProcessor(AutoTokenizer.from_pretrained(tiny_checkpoint))


@pytest.fixture
def batcher(task: MiniXFlickrCO, processor: RegionProcessor) -> Batcher:
    return Batcher(task.load("test", "ta"), task, processor)


@pytest.fixture
def model(tiny_checkpoint: Path) -> TwoTowers:
    return TwoTowers.random(tiny_checkpoint).train()


def pair_logits(model: TwoTowers, batcher: Batcher, images: np.ndarray) -> np.ndarray:
    """The logit of one caption with one image at a time: (captions, images)."""
    with torch.no_grad():
        return np.asarray(
            [
                [
                    model(**batcher.rows(np.asarray([0]), np.asarray([caption]), np.asarray([image])).inputs).item()
                    for image in images
                ]
                for caption in range(len(batcher))
            ]
        )


@pytest.mark.parametrize("batch_size", [1, 3, 1000])
def test_scores_rank_pairs_as_their_logits_do(batcher: Batcher, model: TwoTowers, batch_size: int) -> None:
    images = np.random.default_rng(0).permutation(np.unique(batcher.images[:, 0]))
    scores = match_all(model, batcher, images, batch_size)
    assert not model.training
    assert (scores.shape, scores.dtype) == ((11, 10), np.float32)
    logits = pair_logits(model, batcher, images)
    np.testing.assert_allclose(20 * scores - 3, logits, atol=2e-5)
    assert (scores[1] == scores[0]).all() and (scores[2] == scores[0]).all(), "captions with the same text tie"
    kept = [0, *range(3, 11)]
    assert (scores[kept].argsort(1) == logits[kept].argsort(1)).all()
    assert scores.std(0).min() > 0.01 and scores.std(1).min() > 0.01, "captions and images differ"


def test_each_text_and_each_image_is_embedded_once(
    task: MiniXFlickrCO, processor: RegionProcessor, model: TwoTowers
) -> None:
    rows, scores = evaluate(task, model, processor, "test", "ta", batch_size=4)
    assert (model.texts, model.images) == ([4, 4, 1], [4, 4, 2]), "9 different texts, 10 different images"
    assert len(rows) == 11 and scores["recall@1"] == pytest.approx(100 * np.mean([row["score"] for row in rows]))
    by_pairs = type("ByPairs", (TwoTowers,), {"is_dual_encoder": False})(model.config)
    by_pairs.load_state_dict(model.state_dict())
    logits, same_scores = evaluate(task, by_pairs, processor, "test", "ta", batch_size=4)
    similarities = {"similarities", "label_similarity"}  # cosines of the one, logits of the other
    assert same_scores == scores
    assert [{key: row[key] for key in row.keys() - similarities} for row in logits] == [
        {key: row[key] for key in row.keys() - similarities} for row in rows
    ]


def test_validation_scores_the_candidates_of_an_example_as_pairs(batcher: Batcher, model: TwoTowers) -> None:
    with torch.no_grad():
        candidates = model.eval()(**batcher.batch(np.argsort(batcher.texts.lengths, kind="stable")).inputs)
    right = (candidates.view(11, 4).argmax(1) == 0).float().mean().item()
    assert candidate_accuracy(batcher, model, 4, batch_size=5) == pytest.approx(100 * right)


def test_bfloat16_embeddings_are_compared_in_float32(batcher: Batcher, model: TwoTowers) -> None:
    images = np.unique(batcher.images[:, 0])
    expected, scores = (match_all(found, batcher, images, 4) for found in (model, model.to(torch.bfloat16)))
    assert np.corrcoef(scores.ravel(), expected.ravel())[0, 1] > 0.99
    assert len(np.unique(scores)) == len(np.unique(expected)), "bfloat16 has too few numbers to tell pairs apart"


@pytest.mark.parametrize("is_dual_encoder", [True, False])
def test_processes_that_read_ahead_change_nothing(
    batcher: Batcher, model: TwoTowers, is_dual_encoder: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TwoTowers, "is_dual_encoder", is_dual_encoder)
    images = np.unique(batcher.images[:, 0])
    alone, ahead = (match_all(model, batcher, images, 4, workers) for workers in (0, 2))
    assert (alone == ahead).all()
    logits = [classify(model, batcher, 4, num_logits=4, workers=workers) for workers in (0, 2)]
    assert torch.equal(*logits)
