"""Reptile against its definition."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from iglue_plugins.meta.reptile import ReptileLoop


def test_the_gradient_leads_to_where_sgd_ends(draw: Callable[..., Tensor]) -> None:
    """theta - rate * gradient is theta after K steps on the support set and one on the query set; "y" stays."""
    rate, start = 0.1, {"x": draw(3), "y": draw(3), "z": draw(3)}
    target = draw(3)

    def inner(x: Tensor) -> Tensor:
        return (x**4).sum() / 4

    def outer(x: Tensor, z: Tensor) -> Tensor:
        return ((x - target) ** 2).sum() + z.sin().sum()

    loop = ReptileLoop(lambda at: inner(at["x"]), [{"x": rate}] * 3)
    adapted = {name: value.detach().requires_grad_() for name, value in loop.adapt(start).items()}
    slopes = torch.autograd.grad(outer(adapted["x"], adapted["z"]), [adapted["x"], adapted["z"]])
    gradient, rate_gradients = loop.backpropagate({"x": slopes[0], "y": None, "z": slopes[1]})
    assert rate_gradients == []
    assert gradient["y"] is None

    model = {name: torch.nn.Parameter(value.clone()) for name, value in start.items()}
    sgd = torch.optim.SGD(model.values(), rate)
    for loss in (*[lambda: inner(model["x"])] * 3, lambda: outer(model["x"], model["z"])):
        sgd.zero_grad()
        loss().backward()
        sgd.step()
    for name in "xz":
        torch.testing.assert_close(start[name] - rate * gradient[name], model[name].detach(), rtol=1e-12, atol=1e-12)
