"""Gradients by parameter name: how they add up, and a loss that brings its gradients along."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Parameters = dict[str, Tensor]
Gradients = dict[str, Tensor | None]  # None: the loss does not depend on the parameter


def add_gradients(one: Tensor | None, other: Tensor | None, factor: float = 1.0) -> Tensor | None:
    """Compute one + factor * other; a value to which nothing is added is not copied.

    Args:
        one: A tensor, or None for zero.
        other: A tensor of the same shape, or None for zero.
        factor: What `other` is multiplied by.

    Returns:
        The sum, or None where both are None.
    """
    if other is None or (one is None and factor == 1):
        return one if other is None else other
    return other * factor if one is None else torch.add(one, other, alpha=factor)


@contextmanager
def autocast_cache_cleared() -> Iterator[None]:
    """Drop at the end of the block what autocast has cached: a low-precision copy of each parameter that it has cast.

    autocast itself keeps the copies until it is left, so that those of all thetas of a meta-step would be in memory at
    once. Parameters that are used twice inside the block are cast once, as ever. Without autocast nothing happens.
    """
    try:
        yield
    finally:
        torch.clear_autocast_cache()


def with_gradient(value: Tensor, gradients: Gradients, parameters: Parameters) -> Tensor:
    """Make a loss whose gradients are known already.

    Whatever calls backward on it, and the parameters' hooks, see a loss like any other; backward can be called once.

    Args:
        value: The loss's value, a scalar.
        gradients: Its gradients by parameter name, which this consumes.
        parameters: The parameters by name.

    Returns:
        A scalar that requires grad.

    Raises:
        RuntimeError: Backward is called on it a second time.
    """
    reached = [name for name, gradient in gradients.items() if gradient is not None]
    if not reached:
        return value.clone().requires_grad_()
    return _KnownGradients.apply(
        value, [gradients.pop(name) for name in reached], *(parameters[name] for name in reached)
    )


class _KnownGradients(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: list[Tensor], *parameters: Tensor) -> Tensor:
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError("backward was called twice on a meta-step's loss; call the objective again")
        gradients, ctx.gradients = ctx.gradients, None  # handed over, so that parameters take them without a copy
        if incoming != 1:
            for place in range(len(gradients)):  # one at a time, since together they are as large as the model
                gradients[place] = gradients[place] * incoming
        return None, None, *gradients
