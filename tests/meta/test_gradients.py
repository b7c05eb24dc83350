"""Gradients by name: their sums, and a loss whose gradients are known already."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from iglue_plugins.meta.gradients import Gradients, Parameters, add_gradients, with_gradient


def test_a_gradient_that_nothing_is_added_to_is_not_copied() -> None:
    gradient = torch.ones(3)
    assert add_gradients(None, gradient) is gradient
    assert add_gradients(gradient, None, -2) is gradient
    assert add_gradients(None, None) is None
    assert add_gradients(None, gradient, -2).tolist() == [-2] * 3
    assert add_gradients(gradient, gradient, -0.5).tolist() == [0.5] * 3


# A loss whose gradient is known


@pytest.fixture
def known() -> tuple[Callable[[], Tensor], Parameters, Gradients]:
    """A loss, its parameters, and gradients that no loss would have; 'c' has none."""
    parameters = {name: nn.Parameter(torch.zeros(3)) for name in "abc"}
    gradients = {"a": torch.arange(3.0), "b": torch.full((3,), 4.0), "c": None}
    return lambda: with_gradient(torch.tensor(2.5), dict(gradients), parameters), parameters, gradients


def test_backward_gives_the_known_gradients(known: tuple[Callable[[], Tensor], Parameters, Gradients]) -> None:
    make, parameters, gradients = known
    loss = make()
    assert (loss.item(), loss.requires_grad) == (2.5, True)
    loss.backward()
    assert {name: None if value.grad is None else value.grad.tolist() for name, value in parameters.items()} == {
        "a": [0, 1, 2],
        "b": [4, 4, 4],
        "c": None,
    }
    with pytest.raises(RuntimeError, match="backward was called twice"):
        loss.backward()


def test_scaling_accumulation_clipping_and_hooks_work_as_for_any_loss(
    known: tuple[Callable[[], Tensor], Parameters, Gradients],
) -> None:
    make, parameters, _ = known
    seen = []
    parameters["a"].register_hook(lambda gradient: seen.append(gradient.tolist()))
    parameters["b"].register_post_accumulate_grad_hook(lambda parameter: seen.append(parameter.grad.tolist()))
    (make() / 4).backward()
    (3 * make()).backward()
    assert seen == [[0, 0.25, 0.5], [1, 1, 1], [0, 3, 6], [13, 13, 13]]
    assert parameters["a"].grad.tolist() == [0, 3.25, 6.5]
    norm = torch.nn.utils.clip_grad_norm_(list(parameters.values()), 1.0)
    torch.testing.assert_close(norm.item(), (3.25**2 + 6.5**2 + 3 * 13**2) ** 0.5)


def test_parameters_take_the_gradients_without_a_copy() -> None:
    parameter, gradient = nn.Parameter(torch.zeros(1000)), torch.ones(1000)
    place, gradients = gradient.data_ptr(), {"a": gradient}
    del gradient
    with_gradient(torch.tensor(1.0), gradients, {"a": parameter}).backward()
    assert parameter.grad.data_ptr() == place


def test_a_loss_without_gradients_can_be_backpropagated() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    with_gradient(torch.tensor(0.0), {"a": None}, {"a": parameter}).backward()
    assert parameter.grad is None
