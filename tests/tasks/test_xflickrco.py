"""xFlickr&Co: the loss over four candidates, and retrieval against a loop over all pairs."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import median

import pytest
import torch
from batches import labelled
from datasets import Dataset
from pydantic import ValidationError

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.evaluation.evaluator import evaluate, make_validator
from iglue_plugins.tasks.base import Task


@pytest.fixture
def task(small: Callable[[str], Task]) -> Task:
    return small("xflickrco")


@pytest.fixture
def with_several_captions(task: Task, monkeypatch: pytest.MonkeyPatch) -> Task:
    """Gives captions 0 to 5 one image, 6 to 9 two other images in turn, and each of the other 14 captions its image."""
    load = task.load

    def relabelled(split: str, language: str, shots: int | None = None) -> Dataset:
        rows = load(split, language, shots).to_dict()
        rows["image_ids"] = [rows["image_ids"][0 if i < 6 else 6 + i % 2 if i < 10 else i] for i in range(24)]
        return Dataset.from_dict(rows)

    monkeypatch.setattr(task, "load", relabelled)
    return task


def test_loss_is_cross_entropy_with_the_true_pair_first(task: Task) -> None:
    logits = torch.tensor([2.0, 0.5, -1.0, 0.0, -0.5, 1.5, 0.25, 3.0], dtype=torch.float64)
    expected = [math.log(sum(math.exp(x) for x in row)) - row[0] for row in logits.view(2, 4).tolist()]
    batch = labelled(task.targets(["match", "match"]))
    assert batch.labels.tolist() == [0, 0]
    for shaped in (logits, logits[:, None]):
        assert task.loss(shaped, batch).item() == pytest.approx(sum(expected) / 2, rel=1e-12)


@pytest.fixture
def with_triplet_loss(task: Task) -> Task:
    return type(task)(task.Settings(loss="triplet"))


def test_triplet_loss_is_the_mean_violation_of_the_margin_between_probabilities(with_triplet_loss: Task) -> None:
    logit = {p: math.log(p / (1 - p)) for p in (0.1, 0.3, 0.5, 0.6, 0.65, 0.9)}
    logits = torch.tensor([logit[p] for p in (0.6, 0.5, 0.3, 0.65, 0.9, 0.1, 0.6, 0.6)], dtype=torch.float64)
    # 0.2 + 0.5 - 0.6, nothing for 0.3, 0.2 + 0.65 - 0.6; nothing for the second example
    expected = (0.1 + 0.25) / 6
    for shaped in (logits, logits[:, None]):
        assert with_triplet_loss.loss(shaped, labelled(torch.zeros(2, dtype=torch.int64))).item() == pytest.approx(
            expected, rel=1e-12
        )


def test_triplet_loss_pulls_only_violating_candidates(with_triplet_loss: Task) -> None:
    logits = torch.tensor([0.5, 0.4, -4.0, 1.0], requires_grad=True)
    with_triplet_loss.loss(logits, labelled(torch.zeros(1, dtype=torch.int64))).backward()
    right, near, far, worse = logits.grad.tolist()
    assert right < 0 < near and worse > 0 and far == 0


@pytest.mark.parametrize(
    ("settings", "key"),
    [({"loss": "hinge"}, "loss"), ({"hard_negatives": 0}, "hard_negatives"), ({"hard_negative": 3}, "hard_negative")],
)
def test_settings_are_checked(task: Task, settings: dict, key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        task.Settings(**settings)


def brute_force(task: Task, model: torch.nn.Module, processor: RegionProcessor) -> tuple[list[dict], dict]:
    """Computes predictions and scores from one pair at a time, by loops over candidates."""
    examples = list(task.load("test", "ja"))
    images = sorted({example["image_ids"][0] for example in examples})
    score = {}
    for example in examples:
        ids = torch.tensor([processor.tokenizer(example["text"]).input_ids])
        for image in images:
            regions = task.regions.gather(task.regions.index([image]))
            score[example["id"], image] = model(ids, torch.ones_like(ids), **regions).float().item()
    image_rank, caption_rank = {}, {}
    for example in examples:
        id_, true_image = example["id"], example["image_ids"][0]
        image_rank[id_] = 1 + sum(
            score[id_, image] >= score[id_, true_image] for image in images if image != true_image
        )
    for image in images:
        captions = [e["id"] for e in examples if e["image_ids"][0] == image]
        best = max(score[id_, image] for id_ in captions)
        caption_rank[image] = 1 + sum(score[e["id"], image] >= best for e in examples if e["id"] not in captions)
    rows = []
    for example in examples:
        id_, true_image = example["id"], example["image_ids"][0]
        hits = (image_rank[id_] == 1) + (caption_rank[true_image] == 1)
        ranked = sorted(images, key=lambda image: -score[id_, image])
        rows.append(
            {
                "id": id_,
                "image_ids": [true_image],
                "text": example["text"],
                "prediction": ranked[:10],
                "label": true_image,
                "score": hits / 2,
                "similarities": pytest.approx([score[id_, image] for image in ranked[:10]], rel=1e-5),
                "label_similarity": pytest.approx(score[id_, true_image], rel=1e-5),
                "objects": task.object_count(true_image),
                "regions": task.object_count(true_image),  # mini has a region for each object
                "unseen": 0,
            }
        )
    scores = {"recall@1": pytest.approx(100 * sum(row["score"] for row in rows) / len(rows))}
    for direction, ranks in (("image", list(image_rank.values())), ("text", list(caption_rank.values()))):
        for k in (1, 5, 10):
            scores[f"{direction}_recall@{k}"] = pytest.approx(100 * sum(rank <= k for rank in ranks) / len(ranks))
        scores[f"{direction}_median_rank"] = median(ranks)
    return rows, scores


def test_retrieval_equals_a_loop_over_all_pairs(task: Task, processor: RegionProcessor, row_model: type) -> None:
    model = row_model(1, 1)
    rows, scores = evaluate(task, model, processor, "test", "ja", batch_size=37)
    assert (rows, scores) == brute_force(task, model, processor)
    assert 0 < scores["image_recall@10"] < 100


def test_retrieval_with_several_captions_of_an_image_equals_the_loop(
    with_several_captions: Task, processor: RegionProcessor, row_model: type
) -> None:
    model = row_model(1, 1)
    rows, scores = evaluate(with_several_captions, model, processor, "test", "ja", batch_size=37)
    assert (rows, scores) == brute_force(with_several_captions, model, processor)
    assert len({row["label"] for row in rows}) == 17
    assert 0 < scores["text_recall@10"] < 100


def test_retrieval_does_not_depend_on_the_batch_size(task: Task, processor: RegionProcessor, row_model: type) -> None:
    model = row_model(1, 1)
    by_seven = evaluate(task, model, processor, "test", "ja", batch_size=7)
    assert 5 < max(len(batch) for batch in model.lengths) <= 7
    assert evaluate(task, model, processor, "test", "ja", batch_size=1000) == by_seven


def test_recall_at_1_is_the_mean_of_both_directions_where_images_have_equally_many_captions(
    task: Task, processor: RegionProcessor, row_model: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = task.load

    def two_captions_each(split: str, language: str, shots: int | str | None = None) -> Dataset:
        rows = load(split, language, shots).to_dict()
        rows["image_ids"] = [rows["image_ids"][i % 12] for i in range(24)]
        return Dataset.from_dict(rows)

    monkeypatch.setattr(task, "load", two_captions_each)
    rows, scores = evaluate(task, row_model(1, 1), processor, "test", "ja")
    assert scores["image_recall@1"] != scores["text_recall@1"] and scores["recall@1"] > 0
    assert scores["recall@1"] == pytest.approx((scores["image_recall@1"] + scores["text_recall@1"]) / 2)
    assert scores["recall@1"] == pytest.approx(100 * sum(row["score"] for row in rows) / 24)


def test_validation_counts_examples_whose_true_pair_is_the_best_of_four(
    task: Task, processor: RegionProcessor, row_model: type
) -> None:
    model = row_model(1, 1)
    batcher = Batcher(task.load("dev", "en"), task, processor)
    by_length = sorted(range(24), key=lambda i: batcher.texts.lengths[i])
    candidates = model(**batcher.batch(by_length).inputs).view(24, 4).tolist()
    right = sum(max(row) == row[0] for row in candidates)
    assert 0 < right < 24
    for batch_size in (256, 7, 1):
        validate = make_validator(task, model, processor, "dev", "en", batch_size)
        assert validate() == validate() == pytest.approx(100 * right / 24)


def test_a_constant_model_has_a_recall_of_zero(task: Task, processor: RegionProcessor, row_model: type) -> None:
    class Constant(row_model):
        def forward(self, input_ids: torch.Tensor, **_: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(input_ids), 1)

    rows, scores = evaluate(task, Constant(1, 1), processor, "test", "ja")
    assert scores["recall@1"] == scores["image_recall@10"] == scores["text_recall@10"] == 0
    assert {row["score"] for row in rows} == {0}
