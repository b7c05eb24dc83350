"""The algorithms of the meta-step on a model and its losses: against plain SGD and plain autograd."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from meta_gradients import Grads, assert_equal_gradients, gradients, meta_gradient
from torch import Tensor
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from iglue_plugins.trainers.meta_objective import MetaObjective

MakeMeta = Callable[..., MetaObjective]
RATE = 0.05
STEPS = {"inner_lr": RATE, "inner_steps": 3, "inner_loss": "both"}


def at_step(objective: MetaObjective, episodes: list[dict], step: int) -> Grads:
    return gradients(objective, objective(episodes, step)["loss"])


def test_reptile_leads_to_where_sgd_ends(meta: MakeMeta, episodes: list[dict]) -> None:
    """theta - rate * gradient is theta after the inner steps on the support batch and one on the query batch."""
    objective = meta(algorithm="reptile", **STEPS)
    found, copied = meta_gradient(objective, episodes[:1])[1], copy.deepcopy(objective.batch_loss)
    sgd = torch.optim.SGD(copied.parameters(), RATE)
    for part, choice in (*[("support", "both")] * 3, ("query", "both")):
        sgd.zero_grad()
        copied(episodes[0][part], choice)["loss"].backward()
        sgd.step()
    moved = dict(copied.named_parameters())
    expected: Grads = {
        f"batch_loss.{name}": (value - moved[name]).detach() / RATE if found[f"batch_loss.{name}"] is not None else None
        for name, value in objective.batch_loss.named_parameters()
    }
    assert_equal_gradients(found, expected)


def test_the_multi_step_loss_agrees_with_autograd(meta: MakeMeta, episodes: list[dict]) -> None:
    objective = meta(multi_step=10, **STEPS)
    trained = {name: value for name, value in objective.batch_loss.named_parameters() if value.requires_grad}
    total = torch.zeros(())
    with sdpa_kernel(SDPBackend.MATH):
        for episode in episodes:
            theta = dict(trained)
            for weight in (0.2, 0.2, 0.6):  # at step 4 of 10
                loss = functional_call(objective.batch_loss, theta, (episode["support"], "both"))["loss"]
                slopes = torch.autograd.grad(loss, list(theta.values()), allow_unused=True, create_graph=True)
                theta = {
                    name: value if slope is None else value - RATE * slope
                    for (name, value), slope in zip(theta.items(), slopes, strict=True)
                }
                query = functional_call(objective.batch_loss, theta, (episode["query"], "both"))["loss"]
                total = total + weight * query
    loss = objective(episodes, 4)["loss"]
    torch.testing.assert_close(loss.detach(), total.detach(), rtol=1e-12, atol=0)
    assert_equal_gradients(gradients(objective, loss), gradients(objective, total))
    assert_equal_gradients(at_step(objective, episodes, 10), meta_gradient(meta(**STEPS), episodes)[1])


def test_the_order_of_derivatives_is_annealed(meta: MakeMeta, episodes: list[dict]) -> None:
    objective = meta(second_order_after=5, **STEPS)
    first = meta_gradient(meta(algorithm="fomaml", **STEPS), episodes)[1]
    second = meta_gradient(meta(**STEPS), episodes)[1]
    assert_equal_gradients(at_step(objective, episodes, 4), first)
    assert_equal_gradients(at_step(objective, episodes, 5), second)


def test_the_implicit_gradient_solves_its_equation(meta: MakeMeta, episodes: list[dict]) -> None:
    """x + H x / strength = v, with phi, H and v by plain autograd; no step has an embedding subset there."""
    strength = 30.0
    settings = {"algorithm": "imaml", "proximal": strength, "cg_iterations": 60, "cg_tolerance": 1e-11}
    objective = meta(**settings, inner_lr=0.01, inner_steps=3, inner_loss="both")
    losses, episode = objective.batch_loss, episodes[0]
    scalars = objective(episodes[:1])
    assert scalars["cg_residual"] < 1e-10
    found = gradients(objective, scalars["loss"])
    start = {name: value.detach() for name, value in losses.named_parameters()}
    phi = {name: value.clone().requires_grad_() for name, value in start.items()}

    def slopes(part: str, create_graph: bool = False) -> dict[str, Tensor | None]:
        loss = functional_call(losses, phi, (episode[part], "both"))["loss"]
        values = torch.autograd.grad(loss, list(phi.values()), allow_unused=True, create_graph=create_graph)
        return dict(zip(phi, values, strict=True))

    with sdpa_kernel(SDPBackend.MATH):
        for _ in range(3):
            for name, slope in slopes("support").items():
                if slope is not None:
                    pull = strength * (phi[name].detach() - start[name])
                    phi[name] = (phi[name].detach() - 0.01 * (slope + pull)).requires_grad_()
        outer = slopes("query")
        inner = {name: slope for name, slope in slopes("support", create_graph=True).items() if slope is not None}
        x = [found[f"batch_loss.{name}"] for name in inner]
        products = torch.autograd.grad(list(inner.values()), [phi[name] for name in inner], x, allow_unused=True)
    for name, value, product in zip(inner, x, products, strict=True):
        torch.testing.assert_close(value + product / strength, outer[name], rtol=1e-7, atol=1e-9, msg=name)


@pytest.mark.parametrize("algorithm", ["reptile", "imaml"])
def test_every_algorithm_is_plain_without_inner_steps(meta: MakeMeta, episodes: list[dict], algorithm: str) -> None:
    expected = meta_gradient(meta(inner_lr=0), episodes)
    found = meta_gradient(meta(inner_lr=0, algorithm=algorithm), episodes)
    assert torch.equal(found[0], expected[0])
    assert_equal_gradients(found[1], expected[1], tolerance=0)
