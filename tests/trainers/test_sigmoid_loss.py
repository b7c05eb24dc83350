"""SigLIP's loss: a loop by hand, transformers' SiglipModel, what is positive or excluded, and its gradient."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import SiglipConfig, SiglipModel

from iglue_plugins.trainers.contrastive_loss import PairTargets, contrastive_loss, pair_loss, pair_targets, sigmoid_loss
from iglue_plugins.trainers.similarity import Similarity

# Pairs 0 and 1 have one image, 2 and 3 one text, and 4 and 5 are twice the same pair.
IMAGES = torch.tensor([[0], [0], [1], [2], [5], [5]])
TEXTS = torch.tensor([0, 1, 2, 2, 5, 5])
TEMPERATURE, BIAS = 0.4, -0.7
CHOICES = ("masked", "positives", "negatives")


def embeddings(count: int) -> tuple[Tensor, Tensor]:
    numbers = torch.randn(2, count, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(count))
    text, image = functional.normalize(numbers, dim=-1)
    return text.requires_grad_(), image.requires_grad_()


def bias_of(value: float = BIAS) -> Tensor:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def plain_loss(text: Tensor, image: Tensor, targets: PairTargets) -> float:
    """Ask of each text and each image whether they belong together, in plain Python."""
    total, count = 0.0, len(text)
    for a in range(count):
        for b in range(count):
            if targets.excluded is not None and targets.excluded[a, b]:
                continue
            logit = (text[a] @ image[b]).item() / TEMPERATURE + BIAS
            belong = a == b if targets.positive is None else bool(targets.positive[a, b])
            probability = 1 / (1 + math.exp(-logit))
            total -= math.log(probability if belong else 1 - probability)
    return total / count


def test_the_loss_of_two_pairs() -> None:
    text, image = torch.eye(2), torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    # Logits are cosines over 0.5 minus 1: [[1, 0.2], [-1, 0.6]]; the diagonal is right.
    expected = math.log1p(math.exp(-1)) + math.log1p(math.exp(0.2)) + math.log1p(math.exp(-1))
    expected += math.log1p(math.exp(-0.6))
    assert sigmoid_loss(text, image, 0.5, torch.tensor(-1.0)).item() == pytest.approx(expected / 2, rel=1e-6)


@pytest.mark.parametrize("choice", CHOICES)
def test_the_loss_is_that_of_a_loop(choice: str) -> None:
    text, image = embeddings(6)
    targets = pair_targets(IMAGES, TEXTS, choice)
    found = sigmoid_loss(text, image, TEMPERATURE, bias_of(), targets).item()
    assert found == pytest.approx(plain_loss(text, image, targets), rel=1e-12)


def test_same_image_pairs_change_the_loss() -> None:
    text, image = embeddings(6)
    losses = {
        choice: sigmoid_loss(text, image, TEMPERATURE, bias_of(), pair_targets(IMAGES, TEXTS, choice)).item()
        for choice in CHOICES
    }
    assert len(set(losses.values())) == 3
    assert losses["masked"] < min(losses["positives"], losses["negatives"]), "excluded questions have no loss"
    assert losses["negatives"] == sigmoid_loss(text, image, TEMPERATURE, bias_of()).item()


@pytest.mark.parametrize("choice", CHOICES)
def test_the_gradient_is_probability_minus_answer(choice: str) -> None:
    text, image = embeddings(6)
    temperature, bias = torch.tensor(TEMPERATURE, dtype=torch.float64, requires_grad=True), bias_of()
    targets = pair_targets(IMAGES, TEXTS, choice)
    inputs = (text, image, temperature, bias)
    found = torch.autograd.grad(sigmoid_loss(*inputs, targets), inputs)
    with torch.no_grad():
        cosines = text @ image.T
        positive = torch.eye(6, dtype=torch.bool) if targets.positive is None else targets.positive
        slope = ((cosines / TEMPERATURE + BIAS).sigmoid() - positive.double()) / 6
        if targets.excluded is not None:
            slope[targets.excluded] = 0
        expected = (
            slope @ image / TEMPERATURE,
            slope.T @ text / TEMPERATURE,
            -(slope * cosines).sum() / TEMPERATURE**2,
            slope.sum(),
        )
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("choice", CHOICES)
def test_first_and_second_derivatives_are_those_of_finite_differences(choice: str) -> None:
    """Second ones are those of a meta-gradient."""
    temperature, targets = bias_of(TEMPERATURE), pair_targets(IMAGES, TEXTS, choice)
    inputs = (*embeddings(6), temperature, bias_of())
    assert torch.autograd.gradcheck(lambda *given: sigmoid_loss(*given, targets), inputs)
    assert torch.autograd.gradgradcheck(lambda *given: sigmoid_loss(*given, targets), inputs)


@pytest.fixture
def siglip() -> SiglipModel:
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = SiglipConfig(
        text_config={**sizes, "vocab_size": 20, "max_position_embeddings": 6, "projection_size": 8},
        vision_config={**sizes, "image_size": 8, "patch_size": 4},
    )
    model = SiglipModel(config).double().eval()
    with torch.no_grad():
        model.logit_scale.fill_(1.3)
        model.logit_bias.fill_(-2.1)
    return model


def test_the_loss_and_its_gradients_are_those_of_transformers_siglip(siglip: SiglipModel) -> None:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(20, (5, 6), generator=generator)
    pixels = torch.randn(5, 3, 8, 8, dtype=torch.float64, generator=generator)
    output = siglip(input_ids=ids, pixel_values=pixels, return_loss=True)
    similarity = Similarity(1 / siglip.logit_scale.exp(), siglip.logit_bias)
    found = pair_loss("sigmoid", output.text_embeds, output.image_embeds, similarity, PairTargets())
    torch.testing.assert_close(found, output.loss, rtol=1e-12, atol=0)
    parameters = [value for value in siglip.parameters() if value.requires_grad]
    gradients = (torch.autograd.grad(loss, parameters, retain_graph=True) for loss in (found, output.loss))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-13)


def test_the_settings_choose_the_loss() -> None:
    text, image = embeddings(4)
    similarity, targets = Similarity(TEMPERATURE, bias_of()), PairTargets()
    assert torch.equal(
        pair_loss("infonce", text, image, similarity, targets), contrastive_loss(text, image, TEMPERATURE, targets)
    )
    assert torch.equal(
        pair_loss("sigmoid", text, image, similarity, targets),
        sigmoid_loss(text, image, TEMPERATURE, similarity.bias, targets),
    )
