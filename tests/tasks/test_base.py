"""The base class of tasks: loss, predictions, evaluation, and the pairs of the contrastive loss."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from batches import labelled

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.data.inputs import Inputs
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.evaluation.evaluator import evaluate
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.pairs import ImageTextPairs
from iglue_plugins.utils.errors import UserError

MakeBatch = Callable[[str], tuple[Task, Batch]]
KINDS = ("xvnli", "xgqa", "marvl", "xflickrco")


def one_hot_cross_entropy(logits: list[list[float]], labels: list[int]) -> float:
    """Computes the mean binary cross-entropy over examples and classes with plain Python numbers."""
    terms = []
    for row, label in zip(logits, labels, strict=True):
        for i, logit in enumerate(row):
            probability = 1 / (1 + math.exp(-logit))
            terms.append(-math.log(probability if i == label else 1 - probability))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("name", ["xvnli", "marvl"])
def test_loss_is_binary_cross_entropy_over_one_hot_targets(small: Callable[[str], Task], name: str) -> None:
    task = small(name)
    logits = torch.randn(6, task.num_labels, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3
    labels = [i % task.num_labels for i in range(6)]
    loss = task.loss(logits, labelled(torch.tensor(labels)))
    assert loss.shape == ()
    assert loss.item() == pytest.approx(one_hot_cross_entropy(logits.tolist(), labels), rel=1e-12)


def test_predictions_are_the_labels_with_the_highest_logits(small: Callable[[str], Task]) -> None:
    task = small("xvnli")
    assert task.predict(torch.tensor([[0.1, 0.3, 0.2], [-1.0, -3.0, -2.0], [0.0, 0.0, 5.0]])) == [
        "entailment",
        "contradiction",
        "neutral",
    ]


def test_targets_are_class_indices(small: Callable[[str], Task]) -> None:
    targets = small("xvnli").targets(["neutral", "contradiction", "neutral", "entailment"])
    assert targets.tolist() == [2, 0, 2, 1]
    assert targets.dtype == torch.int64


def test_an_unknown_label_is_named_with_the_nearest(small: Callable[[str], Task]) -> None:
    with pytest.raises(UserError, match="^task mini/xvnli has no label 'entails'; did you mean 'entailment'\\?$"):
        small("xvnli").targets(["neutral", "entails"])
    with pytest.raises(UserError, match="^task mini/marvl has no label '1'; choose from False, True$"):
        small("marvl").targets(["True", "1"])


@pytest.mark.parametrize(
    ("split", "language", "message"),
    [
        ("vla", "en", "has no split 'vla'; choose from auxiliary, dev, test, train, unseen"),
        ("test", "trr", "has no language 'trr'; did you mean 'tr'?"),
    ],
)
def test_an_unknown_split_or_language(small: Callable[[str], Task], split: str, language: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        small("xvnli").load(split, language)
    assert str(error.value) == f"task mini/xvnli {message}"


# Evaluation


@pytest.mark.parametrize("name", ["xvnli", "xgqa", "marvl"])
def test_predictions_and_scores_equal_one_example_at_a_time(
    small: Callable[[str], Task], processor: RegionProcessor, row_model: type, name: str
) -> None:
    task = small(name)
    model = row_model(task.rows_per_example, task.num_labels)
    rows, scores = evaluate(task, model, processor, "test", "sw", batch_size=5)
    expected = []
    for example in task.load("test", "sw"):
        ids = torch.tensor([processor.tokenizer(example["text"]).input_ids] * task.rows_per_example)
        regions = task.regions.gather(task.regions.index(example["image_ids"]))
        logits = model(ids, torch.ones_like(ids), **regions)[0]
        prediction = task.labels[max(range(task.num_labels), key=lambda i: logits[i])]
        kept = logits.argsort(descending=True, stable=True)[:10].tolist()
        kept += {task.labels.index(example["label"])} - set(kept)
        probabilities = {task.labels[i]: logits[i].sigmoid().item() for i in kept}
        expected.append(
            {
                "id": example["id"],
                "image_ids": example["image_ids"],
                "text": example["text"],
                "prediction": prediction,
                "label": example["label"],
                "score": 1.0 if prediction == example["label"] else 0.0,
                "probabilities": pytest.approx(probabilities, rel=1e-5),
                "objects": sum(map(task.object_count, example["image_ids"])),
                "regions": int(regions["region_mask"].sum()) - task.rows_per_example,  # without the mean of all
                "unseen": 0,
            }
        )
    assert rows == expected
    assert [row["id"] for row in rows] == [f"test/{i}" for i in range(24)]
    correct = sum(row["prediction"] == row["label"] for row in rows)
    assert scores == {"accuracy": pytest.approx(100 * correct / 24)}


@pytest.mark.parametrize("name", ["xvnli", "marvl"])
def test_evaluation_buckets_by_length_and_does_not_depend_on_the_batch_size(
    small: Callable[[str], Task], processor: RegionProcessor, row_model: type, name: str
) -> None:
    task = small(name)
    model = row_model(task.rows_per_example, task.num_labels)
    by_five = evaluate(task, model, processor, "test", "ta", batch_size=5)
    lengths = sum(model.lengths, [])
    assert [len(batch) for batch in model.lengths] == [5 * task.rows_per_example] * 4 + [4 * task.rows_per_example]
    assert lengths == sorted(lengths) and lengths[0] < lengths[-1]
    assert evaluate(task, model, processor, "test", "ta", batch_size=1000) == by_five


@pytest.mark.parametrize("name", KINDS)
def test_the_main_metric_is_among_the_scores(
    small: Callable[[str], Task], processor: RegionProcessor, row_model: type, name: str
) -> None:
    task = small(name)
    rows_per_example = 1 if name == "xflickrco" else task.rows_per_example
    rows, scores = evaluate(task, row_model(rows_per_example, task.num_labels), processor, "dev", "en")
    assert scores[task.main_metric] == pytest.approx(100 * sum(row["score"] for row in rows) / 24)


# Pairs


@pytest.fixture
def make_batch(small: Callable[[str], Task], processor: RegionProcessor) -> Callable[[str], tuple[Task, Batch]]:
    """A task and a batch of all of its test examples, in Turkish."""

    def make(name: str) -> tuple[Task, Batch]:
        task = small(name)
        return task, Batcher(task.load("test", "tr"), task, processor).batch(range(24))

    return make


def equal(pairs: ImageTextPairs, expected: ImageTextPairs) -> bool:
    sides = ((pairs.text, expected.text), (pairs.image, expected.image))
    return (
        all(one.rows == other.rows and one.keys() == other.keys() for one, other in sides)
        and all(torch.equal(one[key], other[key]) for one, other in sides for key in one)
        and pairs.images_per_text == expected.images_per_text
        and torch.equal(pairs.image_identity, expected.image_identity)
        and torch.equal(pairs.text_identity, expected.text_identity)
    )


def pairs_of(batch: Batch, text: Inputs, text_identity: torch.Tensor, every: int = 1) -> ImageTextPairs:
    """The pairs of a text and the first image of each example, whose regions are those that the model gets."""
    image = {key: batch.inputs[key][::every] for key in ("region_features", "region_locations", "region_mask")}
    return ImageTextPairs(text, Inputs(image, 24), 1, batch.image_identity, text_identity)


def own_texts(batch: Batch, every: int = 1) -> Inputs:
    return Inputs({key: batch.inputs[key][::every] for key in ("input_ids", "attention_mask")}, 24)


@pytest.mark.parametrize(("name", "rows"), [("xvnli", 1), ("xgqa", 1), ("xflickrco", 4)])
def test_all_pairs_are_each_image_with_its_text(make_batch: MakeBatch, name: str, rows: int) -> None:
    task, batch = make_batch(name)
    pairs = task.aligned_pairs(batch, "all")
    assert equal(pairs, pairs_of(batch, own_texts(batch, rows), batch.text_identity, rows))
    assert len(pairs) == 24


@pytest.mark.parametrize(("name", "rows"), [("xvnli", 1), ("xgqa", 1), ("xflickrco", 4)])
def test_caption_pairs_are_each_image_with_its_caption(
    make_batch: MakeBatch, processor: RegionProcessor, name: str, rows: int
) -> None:
    task, batch = make_batch(name)
    captions = processor.prepare_texts(task.load("test", "tr")["caption"][:], task.max_text_length)
    text = captions.inputs(np.arange(24))
    assert text.rows == 24
    expected = pairs_of(batch, text, torch.from_numpy(captions.identity), rows)
    assert equal(task.aligned_pairs(batch, "caption"), expected)


def test_aligned_pairs_of_xvnli_are_the_entailed_hypotheses(make_batch: MakeBatch) -> None:
    task, batch = make_batch("xvnli")
    keep = torch.tensor([label == "entailment" for label in task.load("test", "tr")["label"]])
    assert 0 < keep.sum() < 24
    count, sides = int(keep.sum()), (own_texts(batch), pairs_of(batch, own_texts(batch), batch.text_identity).image)
    text, image = (Inputs({key: value[keep] for key, value in side.items()}, count) for side in sides)
    expected = ImageTextPairs(text, image, 1, batch.image_identity[keep], batch.text_identity[keep])
    assert equal(task.aligned_pairs(batch, "aligned"), expected)


@pytest.mark.parametrize("name", ["xgqa", "xflickrco"])
def test_all_examples_of_the_other_tasks_are_aligned(make_batch: MakeBatch, name: str) -> None:
    task, batch = make_batch(name)
    assert equal(task.aligned_pairs(batch, "aligned"), task.aligned_pairs(batch, "all"))


@pytest.mark.parametrize(
    ("name", "pairs"),
    [
        ("xvnli", "caption"),
        ("xgqa", "caption"),
        ("marvl", "aligned"),
        ("xflickrco", "all"),
    ],
)
def test_the_default_pairs_of_each_task(make_batch: MakeBatch, name: str, pairs: str) -> None:
    task, batch = make_batch(name)
    assert equal(task.aligned_pairs(batch), task.aligned_pairs(batch, pairs))


def test_captions_that_a_task_does_not_have(make_batch: MakeBatch) -> None:
    task, batch = make_batch("marvl")
    with pytest.raises(
        UserError, match="task mini/marvl has no captions for trainer.pairs 'caption'; choose 'aligned' or 'all'"
    ):
        task.aligned_pairs(batch, "caption")
