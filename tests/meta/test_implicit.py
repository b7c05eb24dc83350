"""iMAML's inner loop and implicit gradient, against closed forms."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from iglue_plugins.meta.gradients import Parameters
from iglue_plugins.meta.implicit import ProximalLoop, conjugate_gradients

EYE = torch.eye(4, dtype=torch.float64)
STRENGTH = 0.7


def assert_close(actual: Tensor, expected: Tensor, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


def definite(drawn: Tensor) -> Tensor:
    return drawn @ drawn.T / len(drawn)


def test_quadratics_have_a_closed_form(draw: Callable[..., Tensor]) -> None:
    """Inner loss x'Ax / 2 - b'x: its minimum with the pull is (A + s I)^-1 (b + s theta); equations 3 and 6."""
    a, b, theta, v = definite(draw(4, 4)), draw(4), draw(4), draw(4)
    loop = ProximalLoop(
        lambda at: at["x"] @ a @ at["x"] / 2 - b @ at["x"],
        [{"x": 0.3}] * 300,
        strength=STRENGTH,
        iterations=4,
        tolerance=0.0,
    )
    adapted = loop.adapt({"x": theta})["x"]
    assert_close(adapted, torch.linalg.solve(a + STRENGTH * EYE, b + STRENGTH * theta))
    assert_close(loop.first_loss, theta @ a @ theta / 2 - b @ theta)
    gradient, rate_gradients = loop.backpropagate({"x": v})
    assert_close(gradient["x"], torch.linalg.solve(EYE + a / STRENGTH, v))
    assert rate_gradients == []
    assert loop.scalars["cg_iterations"] == 4
    assert loop.scalars["cg_residual"] < 1e-10


def test_the_gradient_is_that_of_the_minimum_as_a_function_of_the_start(draw: Callable[..., Tensor]) -> None:
    """x adapts, y does not but shapes the inner loss, z is of the outer loss alone.

    After so many steps that phi is the minimum, autograd through all of them has the same derivative.
    """
    a, start, target = definite(draw(6, 6)), {name: draw(3) for name in "xyz"}, draw(9)

    def inner(at: Parameters) -> Tensor:
        together = torch.cat([at["x"], at["y"]])
        return together @ a @ together / 2 + together.cos().sum() / 3

    def outer(at: Parameters) -> Tensor:
        return ((torch.cat([at[name] for name in "xyz"]) - target) ** 2).sum() + at["x"] @ at["z"]

    loop = ProximalLoop(inner, [{"x": 0.3}] * 200, strength=STRENGTH, iterations=3, tolerance=0.0)
    adapted = {name: value.detach().requires_grad_() for name, value in loop.adapt(start).items()}
    slopes = torch.autograd.grad(outer(adapted), list(adapted.values()))
    gradient, _ = loop.backpropagate(dict(zip(adapted, slopes, strict=True)))

    leaves = {name: value.clone().requires_grad_() for name, value in start.items()}
    phi = dict(leaves)
    for _ in range(200):
        pull = STRENGTH / 2 * ((phi["x"] - leaves["x"]) ** 2).sum()
        (slope,) = torch.autograd.grad(inner(phi) + pull, phi["x"], create_graph=True)
        phi["x"] = phi["x"] - 0.3 * slope
    for (name, found), expected in zip(
        gradient.items(), torch.autograd.grad(outer(phi), list(leaves.values())), strict=True
    ):
        assert_close(found, expected, 1e-8), name


def test_an_outer_loss_that_misses_an_adapted_parameter_reaches_it_through_the_others(
    draw: Callable[..., Tensor],
) -> None:
    a, v, start = definite(draw(4, 4)), draw(2), {"x": draw(2), "y": draw(2)}
    loop = ProximalLoop(
        lambda at: (both := torch.cat([at["x"], at["y"]])) @ a @ both / 2,
        [{"x": 0.1, "y": 0.1}],
        strength=STRENGTH,
        iterations=4,
        tolerance=0.0,
    )
    loop.adapt(start)
    gradient, _ = loop.backpropagate({"x": v, "y": None})
    expected = torch.linalg.solve(EYE + a / STRENGTH, torch.cat([v, torch.zeros(2, dtype=torch.float64)]))
    assert_close(torch.cat([gradient["x"], gradient["y"]]), expected)


def test_a_loss_without_adapted_parameters_moves_nothing() -> None:
    start = {"x": torch.ones(2), "y": torch.ones(2)}
    loop = ProximalLoop(lambda at: at["y"].sum() * 2, [{"x": 0.5}], strength=1.0, iterations=3, tolerance=0.0)
    assert all(torch.equal(loop.adapt(start)[name], start[name]) for name in start)
    assert loop.backpropagate({"x": torch.ones(2), "y": None}) == ({"x": pytest.approx(torch.ones(2)), "y": None}, [])


# Conjugate gradients


@pytest.mark.parametrize(("iterations", "tolerance"), [(12, 0.0), (50, 1e-9)])
def test_a_system_is_solved(draw: Callable[..., Tensor], iterations: int, tolerance: float) -> None:
    a, right = definite(draw(12, 12)) + torch.eye(12, dtype=torch.float64), draw(12)
    solution, taken, residual = conjugate_gradients(
        lambda vector: {"x": a @ vector["x"]}, {"x": right}, iterations, tolerance
    )
    assert_close(solution["x"], torch.linalg.solve(a, right), 1e-7)
    assert taken <= 13
    assert residual == pytest.approx(((a @ solution["x"] - right).norm() / right.norm()).item(), abs=1e-9)


def test_few_iterations_leave_a_residual_that_is_told(draw: Callable[..., Tensor]) -> None:
    a, right = definite(draw(12, 12)) + 0.2 * torch.eye(12, dtype=torch.float64), draw(12)
    shares = [
        conjugate_gradients(lambda vector: {"x": a @ vector["x"]}, {"x": right}, count, 0.0)[2] for count in (2, 12)
    ]
    assert shares[0] > 0.02 > 1e-6 > shares[1]


def test_negative_curvature_ends_the_iterations_at_the_gradient_of_first_order(draw: Callable[..., Tensor]) -> None:
    right = draw(4)
    solution, taken, residual = conjugate_gradients(
        lambda vector: {"x": -vector["x"]}, {"x": right}, iterations=5, tolerance=0.0
    )
    assert (taken, residual) == (0, 2)
    assert torch.equal(solution["x"], right)
    assert conjugate_gradients(lambda vector: vector, {"x": right * 0}, 5, 0.1)[1:] == (0, 0)
