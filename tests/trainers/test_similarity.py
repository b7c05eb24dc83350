"""Where a contrastive loss has its temperature and bias from, and which models a loss refuses."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.models.protocols import SimilarityScale
from iglue_plugins.models.uniter import XUniterForVisionAndLanguage
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.contrastive_loss import contrastive_loss, sigmoid_loss
from iglue_plugins.trainers.objectives import BatchLoss
from iglue_plugins.trainers.settings.finetune import FinetuneSettings
from iglue_plugins.trainers.similarity import check_contrastive, similarity_of
from iglue_plugins.utils.errors import UserError


class ScaledUniter(XUniterForVisionAndLanguage):
    """A model with a scale of its own, as CLIP has, or with a bias too, as SigLIP has."""

    def similarity_scale(self) -> SimilarityScale:
        return SimilarityScale(self.logit_scale.exp(), getattr(self, "logit_bias", None))


@pytest.fixture
def scaled(make_model: Callable[..., PreTrainedModel]) -> Callable[..., ScaledUniter]:
    def make(bias: float | None = None) -> ScaledUniter:
        model = make_model()
        model.__class__ = ScaledUniter
        model.logit_scale = nn.Parameter(torch.tensor(math.log(5.0)))
        if bias is not None:
            model.logit_bias = nn.Parameter(torch.tensor(bias))
        return model

    return make


@pytest.fixture
def batch(batchers: dict[str, Batcher]) -> Batch:
    return batchers["tr"].batch(range(6))


def vectors(model: PreTrainedModel, batch: Batch) -> tuple[Tensor, Tensor]:
    return model.embed_text(**batch.caption), model.embed_image(**batch.image)


# The temperature


def test_a_model_without_a_scale_has_a_temperature_of_seven_hundredths(
    make_model: Callable[..., PreTrainedModel],
) -> None:
    assert similarity_of(make_model(), None) == (0.07, None)
    assert similarity_of(make_model(), 0.2) == (0.2, None)


def test_a_models_scale_is_the_inverse_of_the_temperature_unless_that_is_set(
    scaled: Callable[..., ScaledUniter],
) -> None:
    model = scaled(bias=-1.5)
    own = similarity_of(model, None)
    assert own.temperature.item() == pytest.approx(0.2)
    assert own.bias is model.logit_bias
    (slope,) = torch.autograd.grad(own.temperature, model.logit_scale)
    assert slope.item() == pytest.approx(-0.2), "the scale is trained"
    assert similarity_of(model, 0.3) == (0.3, model.logit_bias)
    assert similarity_of(scaled(), None).bias is None


@pytest.mark.parametrize(("temperature", "counts"), [(None, 0.07), (0.5, 0.5)])
def test_null_is_seven_hundredths_in_the_loss_of_a_uniter(
    make_model: Callable[..., PreTrainedModel], task: Task, batch: Batch, temperature: float | None, counts: float
) -> None:
    losses = BatchLoss(make_model(), task, FinetuneSettings(temperature=temperature))
    expected = contrastive_loss(*vectors(losses.model, batch), counts)
    assert torch.equal(losses(batch, "contrastive")["loss"], expected)


def test_null_is_the_models_own_scale_in_the_loss(
    scaled: Callable[..., ScaledUniter], task: Task, batch: Batch
) -> None:
    losses = BatchLoss(scaled(), task, FinetuneSettings())
    loss = losses(batch, "contrastive")["loss"]
    torch.testing.assert_close(loss, contrastive_loss(*vectors(losses.model, batch), 0.2))
    (slope,) = torch.autograd.grad(loss, losses.model.logit_scale)
    assert slope != 0
    fixed = BatchLoss(losses.model, task, FinetuneSettings(temperature=0.2))(batch, "contrastive")["loss"]
    assert torch.autograd.grad(fixed, losses.model.logit_scale, allow_unused=True) == (None,)


def test_a_learned_temperature_starts_at_the_models_own(
    scaled: Callable[..., ScaledUniter], task: Task, batch: Batch
) -> None:
    losses = BatchLoss(scaled(), task, FinetuneSettings(learned_temperature=True, loss="both"))
    parts = losses(batch, "contrastive")
    assert parts["temperature"].item() == losses.learned()["temperature"] == pytest.approx(0.2)
    assert all(torch.autograd.grad(parts["loss"], (losses.model.logit_scale, *losses.temperature_factor.parameters())))


# The sigmoid loss


@pytest.mark.parametrize(("temperature", "counts"), [(None, 0.2), (0.5, 0.5)])
def test_the_sigmoid_loss_of_a_batch_has_the_models_bias(
    scaled: Callable[..., ScaledUniter], task: Task, batch: Batch, temperature: float | None, counts: float
) -> None:
    model = scaled(bias=-1.5)
    losses = BatchLoss(model, task, FinetuneSettings(contrastive="sigmoid", temperature=temperature))
    loss = losses(batch, "contrastive")["loss"]
    torch.testing.assert_close(loss, sigmoid_loss(*vectors(model, batch), counts, model.logit_bias))
    (slope,) = torch.autograd.grad(loss, model.logit_bias)
    assert slope != 0


def test_a_model_without_a_bias_has_no_sigmoid_loss(
    make_model: Callable[..., PreTrainedModel], scaled: Callable[..., ScaledUniter], task: Task
) -> None:
    sentence = "trainer.contrastive is 'sigmoid', which needs a scale and a bias .* has none, so set it to 'infonce'"
    for model in (make_model(), scaled()):
        with pytest.raises(UserError, match=sentence):
            BatchLoss(model, task, FinetuneSettings(contrastive="sigmoid"))
        check_contrastive(model, "infonce")
    check_contrastive(scaled(bias=0.0), "sigmoid")


# A joint pass


class TwoTowers(PreTrainedModel):
    """A model whose text and image do not see each other."""

    def __init__(self) -> None:
        nn.Module.__init__(self)


def test_a_joint_pass_needs_a_model_that_has_one(make_model: Callable[..., PreTrainedModel]) -> None:
    check_contrastive(make_model(), "infonce", joint_pass=True)
    check_contrastive(TwoTowers(), "infonce")
    with pytest.raises(UserError, match="^trainer.joint_pass is true, .* in a TwoTowers, .*; set it to false"):
        check_contrastive(TwoTowers(), "infonce", joint_pass=True)
