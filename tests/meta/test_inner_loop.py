"""The inner loop and backpropagation through it, against closed forms."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import dropout, scaled_dot_product_attention

from iglue_plugins.meta.gradients import Parameters
from iglue_plugins.meta.inner_loop import InnerLoop
from iglue_plugins.utils.errors import UserError

STORAGES = ("graphs", "parameters", "start")
RATES = [0.3, 0.1, 0.2]


def assert_close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def symmetric(drawn: Tensor) -> Tensor:
    return drawn @ drawn.T / len(drawn)


# Closed forms


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("second_order", [True, False])
def test_meta_gradient_of_quadratics(draw: Callable[..., Tensor], steps: int, storage: str, second_order: bool) -> None:
    """Inner loss x'Ax / 2 - b'x, outer loss x'Cx / 2 - d'x: the Jacobian of a step is I - rate A."""
    a, c, b, d, x = symmetric(draw(4, 4)), symmetric(draw(4, 4)), draw(4), draw(4), draw(4)
    calls = []

    def loss(at: Parameters) -> Tensor:
        calls.append(at["x"].detach())
        return at["x"] @ a @ at["x"] / 2 - b @ at["x"]

    loop = InnerLoop(loss, [{"x": rate} for rate in RATES[:steps]], second_order=second_order, storage=storage)
    adapted = loop.adapt({"x": x})["x"]
    expected, jacobian = x, torch.eye(4, dtype=torch.float64)
    for rate in RATES[:steps]:
        expected = expected - rate * (a @ expected - b)
        jacobian = jacobian @ (torch.eye(4, dtype=torch.float64) - rate * a)
    assert_close(adapted, expected)
    assert_close(loop.first_loss, x @ a @ x / 2 - b @ x)
    assert not loop.first_loss.requires_grad
    assert not adapted.requires_grad

    gradient, rate_gradients = loop.backpropagate({"x": c @ adapted - d})
    assert_close(gradient["x"], jacobian @ (c @ expected - d) if second_order else c @ expected - d)
    assert rate_gradients == []
    recomputed = {"graphs": 0, "parameters": steps, "start": steps * (steps + 1) // 2}[storage]
    assert len(calls) == steps + second_order * recomputed


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("second_order", [True, False])
def test_each_parameter_has_its_rate_and_the_rates_have_gradients(
    draw: Callable[..., Tensor], storage: str, second_order: bool
) -> None:
    """x and y adapt at different rates; z does not adapt but curves the inner loss. Reference: autograd, unrolled."""
    a, start = symmetric(draw(9, 9)), {name: draw(3) for name in "xyz"}
    rates = [{"x": 0.2, "y": 0.05}, {"x": 0.1, "y": 0.3}]
    target = draw(9)

    def loss(at: Parameters) -> Tensor:
        together = torch.cat([at[name] for name in "xyz"])
        return (together @ a @ together) ** 2 / 4 + together.sin().sum()

    loop = InnerLoop(loss, rates, second_order=second_order, storage=storage, learns_rates=True)
    adapted = {name: value.requires_grad_() for name, value in loop.adapt(start).items()}
    outer = ((torch.cat(list(adapted.values())) - target) ** 2).sum()
    outer_slopes = torch.autograd.grad(outer, list(adapted.values()))
    gradient, rate_gradients = loop.backpropagate(dict(zip("xyz", outer_slopes, strict=True)))

    theta = {name: value.detach().requires_grad_() for name, value in start.items()}
    leaves, drawn_rates = (
        dict(theta),
        [
            {name: torch.tensor(rate, dtype=torch.float64, requires_grad=True) for name, rate in of_step.items()}
            for of_step in rates
        ],
    )
    for of_step in drawn_rates:
        slopes = torch.autograd.grad(loss(theta), [theta["x"], theta["y"]], create_graph=True)
        slopes = slopes if second_order else [slope.detach() for slope in slopes]
        theta = theta | {name: theta[name] - of_step[name] * slope for name, slope in zip("xy", slopes, strict=True)}
    outer = ((torch.cat([theta[name] for name in "xyz"]) - target) ** 2).sum()
    flat = [*leaves.values(), *(rate for of_step in drawn_rates for rate in of_step.values())]
    expected = torch.autograd.grad(outer, flat)
    for name, value in zip("xyz", expected[:3], strict=True):
        assert_close(gradient[name], value)
    found = [by_rate for of_step in rate_gradients for by_rate in of_step.values()]
    assert_close(torch.stack(found), torch.stack(expected[3:]))


def test_backpropagation_repeats_the_dropout_of_the_inner_steps(draw: Callable[..., Tensor]) -> None:
    """Whatever is stored, backpropagation sees the masks of the inner steps and leaves the generator as it was."""
    start = {"x": draw(50)}

    def loss(at: Parameters) -> Tensor:
        return (dropout(at["x"], 0.5) ** 3).sum()

    def run(storage: str, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
        torch.manual_seed(seed)
        loop = InnerLoop(loss, [{"x": 0.01}] * 3, second_order=True, storage=storage)
        adapted = loop.adapt(start)["x"]
        after = torch.get_rng_state()
        gradient = loop.backpropagate({"x": adapted})[0]["x"]
        assert torch.equal(torch.get_rng_state(), after)
        return adapted, gradient, after

    runs = [run(storage) for storage in STORAGES]
    for one in runs[1:]:
        assert all(map(torch.equal, one, runs[0]))
    assert not torch.equal(runs[0][1], run("graphs", seed=2)[1])


# Outer losses after each step


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("second_order", [True, False])
def test_losses_after_each_step_are_backpropagated(
    draw: Callable[..., Tensor], storage: str, second_order: bool
) -> None:
    """The multi-step loss of MAML++: w_1 L(theta_1) + w_2 L(theta_2) + w_3 L(theta_3), against autograd, unrolled."""
    a, c, start, weights = symmetric(draw(4, 4)), symmetric(draw(4, 4)), draw(4), (0.2, 0.3, 0.5)

    def inner(at: Parameters) -> Tensor:
        return (at["x"] @ a @ at["x"]) ** 2 / 4 + at["x"].sin().sum()

    def outer(x: Tensor) -> Tensor:
        return x @ c @ x / 2 + x.cos().sum()

    def slope(x: Tensor) -> Tensor:
        leaf = x.detach().requires_grad_()
        return torch.autograd.grad(outer(leaf), leaf)[0]

    rates = [{"x": rate} for rate in RATES]
    loop = InnerLoop(inner, rates, second_order=second_order, storage=storage, revisits=True)
    adapted = loop.adapt({"x": start})["x"]
    visited = []

    def at_step(number: int, theta: Parameters) -> Parameters:
        visited.append(number)
        return {"x": weights[number - 1] * slope(theta["x"])}

    gradient, _ = loop.backpropagate({"x": weights[-1] * slope(adapted)}, at_step)
    assert visited == [2, 1]

    theta = leaf = start.clone().requires_grad_()
    total = torch.zeros((), dtype=torch.float64)
    for rate, weight in zip(RATES, weights, strict=True):
        (found,) = torch.autograd.grad(inner({"x": theta}), theta, create_graph=True)
        theta = theta - rate * (found if second_order else found.detach())
        total = total + weight * outer(theta)
    assert_close(gradient["x"], torch.autograd.grad(total, leaf)[0])


# Parameters that a loss does not depend on


def test_parameters_that_the_loss_does_not_depend_on_do_not_change() -> None:
    start = {"used": torch.ones(2), "unused": torch.ones(2), "neither": torch.ones(2)}
    loop = InnerLoop(lambda at: at["used"].sum(), [dict.fromkeys(start, 0.5)] * 2, second_order=True)
    adapted = loop.adapt(start)
    assert adapted["unused"] is start["unused"]
    assert adapted["used"].tolist() == [0, 0]
    assert loop.updated_names == ("used",)
    gradient, _ = loop.backpropagate({"used": torch.ones(2), "unused": torch.ones(2), "neither": None})
    assert gradient["used"].tolist() == gradient["unused"].tolist() == [1, 1]  # a linear loss has no curvature
    assert gradient["neither"] is None


def test_a_loss_that_depends_on_no_adapted_parameter_moves_nothing() -> None:
    start = {"x": torch.ones(2), "y": torch.ones(2)}
    for loss in (lambda at: at["y"].sum() * 2, lambda _: torch.zeros(())):
        loop = InnerLoop(loss, [{"x": 0.5}], second_order=True)
        assert loop.adapt(start) == start
        assert loop.updated_names == ()
        gradient = {"x": torch.ones(2), "y": torch.ones(2)}
        assert loop.backpropagate(dict(gradient))[0] == gradient


def test_an_outer_loss_that_is_independent_of_an_adapted_parameter() -> None:
    """d/dx of x' - and of y' where y' = y - rate * x: the way back reaches x through y alone."""
    start = {"x": torch.tensor(2.0), "y": torch.tensor(3.0)}
    loop = InnerLoop(lambda at: at["x"] * at["y"], [dict.fromkeys("xy", 0.5)], second_order=True)
    assert loop.adapt(start) == {"x": 0.5, "y": 2.0}
    gradient, _ = loop.backpropagate({"x": None, "y": torch.tensor(1.0)})
    assert (gradient["x"], gradient["y"]) == (-0.5, 1.0)


# Attention


class Attention(nn.Module):
    """Attention of a plugin's model, which forces a kernel, or none."""

    def __init__(self, kernel: SDPBackend | None) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        heads = x.view(1, 1, 4, 8)
        if self.kernel is None:
            return scaled_dot_product_attention(heads, heads, heads)
        with sdpa_kernel(self.kernel):
            return scaled_dot_product_attention(heads, heads, heads)


@pytest.mark.parametrize("storage", STORAGES)
def test_a_fused_kernel_is_avoided_or_refused_with_a_remedy(draw: Callable[..., Tensor], storage: str) -> None:
    def meta_gradient(kernel: SDPBackend | None, second_order: bool) -> Tensor:
        attention = Attention(kernel)
        loop = InnerLoop(
            lambda at: attention(at["x"]).square().sum(), [{"x": 0.1}], second_order=second_order, storage=storage
        )
        return loop.backpropagate(loop.adapt({"x": start}))[0]["x"]

    start = draw(32)
    assert_close(meta_gradient(None, second_order=True), meta_gradient(SDPBackend.MATH, second_order=True))
    assert_close(meta_gradient(SDPBackend.FLASH_ATTENTION, second_order=False), meta_gradient(None, second_order=False))
    with pytest.raises(
        UserError,
        match="cannot be differentiated twice.*flash_attention.*fused kernel.*algorithm .fomaml.",
    ):
        meta_gradient(SDPBackend.FLASH_ATTENTION, second_order=True)


class OnceOnly(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, incoming: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0] * incoming


def test_an_operation_that_is_differentiable_only_once_is_refused() -> None:
    loop = InnerLoop(lambda at: OnceOnly.apply(at["x"]).square().sum(), [{"x": 0.1}], second_order=True)
    adapted = loop.adapt({"x": torch.ones(3)})
    with pytest.raises(UserError, match="cannot be differentiated twice"):
        loop.backpropagate(adapted)


def test_other_errors_of_a_model_are_passed_on() -> None:
    loop = InnerLoop(lambda at: at["x"] @ torch.ones(5), [{"x": 0.1}], second_order=True)
    with pytest.raises(RuntimeError, match="inconsistent tensor size"):
        loop.adapt({"x": torch.ones(3)})
