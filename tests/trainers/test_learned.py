"""Learned factors and inner rates: their learning rate, their groups and their gradients."""

from __future__ import annotations

import math

import pytest
import torch

from iglue_plugins.trainers.learned import InnerRates, LearnedFactors, layer_of

NAMES = [
    "encoder.layers.0.output.weight",
    "encoder.layers.0.output.bias",
    "encoder.layers.11.norm.weight",
    "encoder.text_embeddings.words.weight",
    "contrastive.text.weight",
    "head.bias",
    "head.3.weight",
    "scale",
]


def test_logarithms_of_factors_learn_faster_and_have_the_plain_gradient() -> None:
    factors = LearnedFactors(2)
    assert factors().tolist() == [1, 1]
    (factors() * torch.tensor([3.0, -2.0])).sum().backward()
    assert factors.logarithms.grad.tolist() == [3, -2]
    optimizer = torch.optim.AdamW(factors.parameters(), lr=1e-3, weight_decay=0)
    for _ in range(5):
        optimizer.step()
    torch.testing.assert_close(factors(), torch.tensor([math.exp(-0.5), math.exp(0.5)]))


def test_the_layer_of_a_parameter() -> None:
    assert [layer_of(name) for name in NAMES] == [
        "encoder.layers.0",
        "encoder.layers.0",
        "encoder.layers.11",
        "encoder.text_embeddings",
        "contrastive.text",
        "head",
        "head.3",
        "",
    ]


@pytest.mark.parametrize("learned", ["none", "layer", "parameter"])
def test_rates_by_step_and_parameter(learned: str) -> None:
    rates = InnerRates(NAMES[:4], [0.1, 0.02], learned)
    assert rates.by_step() == [dict.fromkeys(NAMES[:4], 0.1), dict.fromkeys(NAMES[:4], 0.02)]
    assert len(list(rates.parameters())) == len(rates.scalars()) == 0 if learned == "none" else 1
    if learned != "none":
        groups = 3 if learned == "layer" else 4
        with torch.no_grad():
            rates.factors.logarithms[0] = math.log(3) / 100
        assert list(rates.scalars())[0] == "inner_lr/" + ("encoder.layers.0" if learned == "layer" else NAMES[0])
        assert [round(rate.item(), 6) for rate in rates.scalars().values()] == [0.3] + [0.1] * (groups - 1)
        second = [round(rate, 6) for rate in rates.by_step()[1].values()]
        assert second == [0.06, 0.06 if learned == "layer" else 0.02, 0.02, 0.02]


def test_the_gradient_with_respect_to_a_factor_is_the_sum_over_its_steps_and_parameters() -> None:
    rates = InnerRates(NAMES[:3], [0.1, 0.5], "layer")
    by_step = [
        {NAMES[0]: torch.tensor(2.0), NAMES[1]: torch.tensor(3.0)},
        {NAMES[0]: torch.tensor(-1.0), NAMES[2]: torch.tensor(4.0)},
    ]
    torch.testing.assert_close(rates.gradient(by_step), torch.tensor([0.1 * (2 + 3) - 0.5, 0.5 * 4]))
