"""The losses of one batch, against numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers import objectives
from iglue_plugins.trainers.contrastive_loss import contrastive_loss, pair_targets
from iglue_plugins.trainers.objectives import BatchLoss, BatchObjective
from iglue_plugins.trainers.settings.finetune import FinetuneSettings


def roll(rows: Tensor) -> Tensor:
    return rows.roll(1, 0)


@pytest.fixture
def batch(batchers: dict[str, Batcher]) -> Batch:
    return batchers["tr"].batch(range(8))


@pytest.fixture
def batch_loss(make_model: Callable[..., PreTrainedModel], task: Task) -> Callable[..., BatchLoss]:
    def make(**settings: object) -> BatchLoss:
        return BatchLoss(make_model(), task, FinetuneSettings(**settings))

    return make


def test_both_is_the_weighted_sum_of_its_parts(batch_loss: Callable[..., BatchLoss], batch: Batch) -> None:
    losses = batch_loss(contrastive_weight=0.25)
    task, contrastive, both = (losses(batch, choice) for choice in ("task", "contrastive", "both"))
    assert (task.keys(), contrastive.keys()) == (
        {"loss", "task_loss"},
        {"loss", "contrastive_loss", "contrastive_pairs"},
    )
    assert both.keys() == {"loss", "task_loss", "contrastive_loss", "contrastive_pairs"}
    assert both["task_loss"] == task["loss"] == task["task_loss"]
    assert both["contrastive_loss"] == contrastive["loss"] == contrastive["contrastive_loss"]
    torch.testing.assert_close(both["loss"], task["loss"] + 0.25 * contrastive["loss"])
    assert BatchObjective(losses, "task")(batch)["loss"] == task["loss"]


def test_the_parts_are_the_loss_of_the_task_and_the_contrastive_loss_of_its_pairs(
    batch_loss: Callable[..., BatchLoss], batch: Batch, task: Task
) -> None:
    losses = batch_loss(temperature=0.2, pairs="aligned")
    parts = losses(batch, "both")
    torch.testing.assert_close(parts["task_loss"], task.loss(losses.model(**batch.inputs), batch))
    entailed = batch.labels == task.labels.index("entailment")
    assert 2 <= entailed.sum() < len(entailed)
    text, image = ({key: value[entailed] for key, value in side.items()} for side in (batch.text, batch.image))
    expected = contrastive_loss(losses.model.embed_text(**text), losses.model.embed_image(**image), 0.2)
    torch.testing.assert_close(parts["contrastive_loss"], expected)


def test_a_caption_is_the_text_of_a_pair_by_default(batch_loss: Callable[..., BatchLoss], batch: Batch) -> None:
    losses = batch_loss()
    other_captions = replace(batch, caption=batch.caption.map(roll))
    assert losses(other_captions, "contrastive")["loss"] != losses(batch, "contrastive")["loss"]
    assert losses(other_captions, "task")["loss"] == losses(batch, "task")["loss"]


def test_the_contrastive_loss_of_fewer_than_two_pairs_is_zero(
    batch_loss: Callable[..., BatchLoss], batch: Batch, task: Task
) -> None:
    for labels in ([0] * 8, [task.labels.index("entailment"), *[0] * 7]):
        losses = batch_loss(pairs="aligned")
        parts = losses(replace(batch, labels=torch.tensor(labels)), "contrastive")
        assert (parts["loss"].item(), parts["contrastive_pairs"].item()) == (0, 0)
        parts["loss"].backward()
        assert all(parameter.grad is None for parameter in losses.parameters())


def test_another_caption_of_an_image_is_no_negative_unless_asked_for(
    batch_loss: Callable[..., BatchLoss], batch: Batch
) -> None:
    """Examples 0 and 1 have one image, 2 and 3 one caption; the loss counts the pairs that have a negative."""
    common = {
        "image_identity": torch.tensor([[0], [0], *([i] for i in range(2, 8))]),
        "caption_identity": torch.tensor([0, 1, 2, 2, 4, 5, 6, 7]),
    }
    batch = replace(batch, **common)
    losses = {choice: batch_loss(same_image_pairs=choice) for choice in ("masked", "positives", "negatives")}
    found = {choice: losses[choice](batch, "contrastive") for choice in losses}
    assert {parts["contrastive_pairs"].item() for parts in found.values()} == {8}
    model = losses["masked"].model
    rows = model.embed_text(**batch.caption), model.embed_image(**batch.image)
    for choice, parts in found.items():
        targets = pair_targets(common["image_identity"], common["caption_identity"], choice)
        assert torch.equal(parts["loss"], contrastive_loss(*rows, 0.07, targets))
    assert found["masked"]["loss"] < found["negatives"]["loss"]
    assert torch.equal(batch_loss()(batch, "contrastive")["loss"], found["masked"]["loss"]), "masked is the default"


def test_a_batch_of_one_image_has_no_pair_with_a_negative(batch_loss: Callable[..., BatchLoss], batch: Batch) -> None:
    batch = replace(batch, image_identity=torch.zeros(8, 1, dtype=torch.int64))
    parts = batch_loss(loss="both")(batch, "both")
    assert (parts["contrastive_loss"].item(), parts["contrastive_pairs"].item()) == (0, 0)
    assert parts["loss"] == parts["task_loss"]


def test_where_no_image_occurs_twice_nothing_is_masked(batch_loss: Callable[..., BatchLoss], batch: Batch) -> None:
    assert torch.equal(
        batch_loss(same_image_pairs="negatives")(batch, "both")["loss"], batch_loss()(batch, "both")["loss"]
    )


def test_the_model_sees_neither_labels_nor_identities(batch_loss: Callable[..., BatchLoss], batch: Batch) -> None:
    losses, seen = batch_loss(), {}

    def note(name: str, method: Callable[..., Tensor], **rows: object) -> Tensor:
        seen[name] = set(rows)
        return method(**rows)

    for name in ("forward", "embed_text", "embed_image"):
        setattr(losses.model, name, partial(note, name, getattr(losses.model, name)))
    losses(batch, "both")
    text, image = set(batch.text), set(batch.image)
    assert seen == {"forward": text | image, "embed_text": text, "embed_image": image | {"images_per_text"}}


@pytest.mark.parametrize("joint", [False, True])
def test_only_a_joint_pass_lets_a_text_see_its_image(
    make_model: Callable[..., PreTrainedModel], task: Task, batch: Batch, joint: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = BatchLoss(make_model(), task, FinetuneSettings(joint_pass=joint))
    seen, pair_loss = [], objectives.pair_loss

    def note(contrastive: str, text: Tensor, image: Tensor, *rest: object) -> Tensor:
        seen.append((text, image))
        return pair_loss(contrastive, text, image, *rest)

    monkeypatch.setattr(objectives, "pair_loss", note)
    losses(batch, "contrastive")
    losses(replace(batch, image=batch.image.map(roll, ["region_features"])), "contrastive")
    losses(replace(batch, caption=batch.caption.map(roll, ["input_ids"])), "contrastive")
    (text, image), (text_beside_other_image, _), (_, image_beside_other_text) = seen
    assert torch.equal(text, text_beside_other_image) is not joint
    assert torch.equal(image, image_beside_other_text) is not joint
    torch.testing.assert_close(text.norm(dim=1), torch.ones(8))


def test_a_learned_temperature_starts_at_the_setting_and_learns(
    batch_loss: Callable[..., BatchLoss], batch: Batch
) -> None:
    fixed, learned = (
        batch_loss(temperature=0.2, loss="both"),
        batch_loss(temperature=0.2, loss="both", learned_temperature=True),
    )
    expected, parts = fixed(batch, "both"), learned(batch, "both")
    assert {name: parts[name] for name in expected} == expected
    assert parts["temperature"].item() == pytest.approx(0.2)
    assert "temperature" not in learned(batch, "task")
    (slope,) = torch.autograd.grad(parts["contrastive_loss"], learned.temperature_factor.logarithms)
    near, far = (batch_loss(temperature=0.2 * factor)(batch, "contrastive")["loss"] for factor in (0.99, 1.01))
    assert slope.item() == pytest.approx(((far - near) / math.log(1.01 / 0.99)).item(), rel=1e-2)
    assert len(list(learned.parameters())) == len(list(fixed.parameters())) + 1
