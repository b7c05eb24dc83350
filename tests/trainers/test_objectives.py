"""The losses of one batch, against numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from transformers import PreTrainedModel

from iglue_plugins.data.batching import Batch, Batcher, model_inputs
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.contrastive_loss import contrastive_loss, pair_targets
from iglue_plugins.trainers.objectives import BatchLoss, BatchObjective
from iglue_plugins.trainers.settings.finetune import FinetuneSettings
from iglue_plugins.utils.errors import UserError


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
    torch.testing.assert_close(parts["task_loss"], task.loss(losses.model(**batch), batch))
    entailed = batch["labels"] == task.labels.index("entailment")
    assert 2 <= entailed.sum() < len(entailed)
    rows = {key: value[entailed] for key, value in batch.items() if not key.startswith("caption")}
    text, image = losses.model.embed_pairs(**rows)
    torch.testing.assert_close(parts["contrastive_loss"], contrastive_loss(text, image, 0.2))


def test_a_caption_is_the_text_of_a_pair_by_default(batch_loss: Callable[..., BatchLoss], batch: Batch) -> None:
    losses = batch_loss()
    other_captions = {
        **batch,
        "caption_input_ids": batch["caption_input_ids"].roll(1, 0),
        "caption_attention_mask": batch["caption_attention_mask"].roll(1, 0),
    }
    assert losses(other_captions, "contrastive")["loss"] != losses(batch, "contrastive")["loss"]
    assert losses(other_captions, "task")["loss"] == losses(batch, "task")["loss"]


def test_the_contrastive_loss_of_fewer_than_two_pairs_is_zero(
    batch_loss: Callable[..., BatchLoss], batch: Batch, task: Task
) -> None:
    for labels in ([0] * 8, [task.labels.index("entailment"), *[0] * 7]):
        losses = batch_loss(pairs="aligned")
        parts = losses({**batch, "labels": torch.tensor(labels)}, "contrastive")
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
    batch = batch | common
    losses = {choice: batch_loss(same_image_pairs=choice) for choice in ("masked", "positives", "negatives")}
    found = {choice: losses[choice](batch, "contrastive") for choice in losses}
    assert {parts["contrastive_pairs"].item() for parts in found.values()} == {8}
    rows = losses["masked"].model.embed_pairs(
        **{key: value for key, value in batch.items() if key.startswith("region")},
        input_ids=batch["caption_input_ids"],
        attention_mask=batch["caption_attention_mask"],
    )
    for choice, parts in found.items():
        targets = pair_targets(common["image_identity"], common["caption_identity"], choice)
        assert torch.equal(parts["loss"], contrastive_loss(*rows, 0.07, targets))
    assert found["masked"]["loss"] < found["negatives"]["loss"]
    assert torch.equal(batch_loss()(batch, "contrastive")["loss"], found["masked"]["loss"]), "masked is the default"


def test_a_batch_of_one_image_has_no_pair_with_a_negative(batch_loss: Callable[..., BatchLoss], batch: Batch) -> None:
    batch = batch | {"image_identity": torch.zeros(8, 1, dtype=torch.int64)}
    parts = batch_loss(loss="both")(batch, "both")
    assert (parts["contrastive_loss"].item(), parts["contrastive_pairs"].item()) == (0, 0)
    assert parts["loss"] == parts["task_loss"]


def test_a_batch_without_identities_is_refused_unless_all_others_are_negatives(
    batch_loss: Callable[..., BatchLoss], batch: Batch
) -> None:
    bare = model_inputs(batch)
    with pytest.raises(UserError, match="trainer.same_image_pairs is 'masked', but the batches have no image_identity"):
        batch_loss()(bare, "contrastive")
    assert torch.equal(
        batch_loss(same_image_pairs="negatives")(bare, "both")["loss"], batch_loss()(batch, "both")["loss"]
    )


def test_the_model_sees_no_identities(batch_loss: Callable[..., BatchLoss], batch: Batch) -> None:
    losses, seen = batch_loss(), []
    forward, embed = losses.model.forward, losses.model.embed_pairs
    losses.model.forward = lambda **rows: seen.extend(rows) or forward(**rows)
    losses.model.embed_pairs = lambda **rows: seen.extend(rows) or embed(**rows)
    losses(batch, "both")
    assert "joint" in seen and "labels" in seen
    assert not [key for key in seen if key.endswith("identity")]


@pytest.mark.parametrize("joint", [False, True])
def test_only_a_joint_pass_lets_a_text_see_its_image(
    make_model: Callable[..., PreTrainedModel], task: Task, batch: Batch, joint: bool
) -> None:
    losses = BatchLoss(make_model(), task, FinetuneSettings(joint_pass=joint))
    seen = []
    embed = losses.model.embed_pairs
    losses.model.embed_pairs = lambda *args, **kwargs: seen.append(embed(*args, **kwargs)) or seen[-1]
    losses(batch, "contrastive")
    losses(batch | {"region_features": batch["region_features"].roll(1, 0)}, "contrastive")
    losses(batch | {"caption_input_ids": batch["caption_input_ids"].roll(1, 0)}, "contrastive")
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
