"""What a meta-step holds while it computes second derivatives, which is where its memory peaks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from iglue_plugins.meta.algorithms import MetaAlgorithm
from iglue_plugins.meta.choices import InnerStorage
from iglue_plugins.meta.step import InnerSteps, MetaStep

live: list[StorageWeakRef] = []  # of the adapted parameters
were_free: list[bool] = []


class Watched(torch.autograd.Function):
    """The square, whose second derivative looks whether the adapted parameters are still there."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        ctx.save_for_backward(value)
        return value**2

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return WatchedSlope.apply(*ctx.saved_tensors, gradient)


class WatchedSlope(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(value, gradient)
        return 2 * value * gradient

    @staticmethod
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor, Tensor]:
        were_free.extend(reference.expired() for reference in live)
        value, gradient = ctx.saved_tensors
        return 2 * gradient * incoming, 2 * value * incoming


@pytest.mark.parametrize("storage", ["graphs", "parameters", "start"])
def test_the_adapted_parameters_are_gone_when_the_second_derivatives_are_computed(storage: InnerStorage) -> None:
    live.clear()
    were_free.clear()
    weight = torch.ones(3, requires_grad=True)

    def loss(parameters: dict[str, Tensor], batch: Tensor) -> Tensor:
        if batch.numel() == 1:  # the query
            live.append(StorageWeakRef(parameters["weight"].untyped_storage()))
            return parameters["weight"].sum() * batch.squeeze()
        return Watched.apply(parameters["weight"] * batch).sum()

    step = MetaStep(loss, {"weight": weight}, InnerSteps(rate=0.1), MetaAlgorithm(storage=storage))
    step([(torch.full((3,), 2.0), torch.ones(1))]).backward()
    assert weight.grad.tolist() == pytest.approx([1 - 0.1 * 8] * 3)
    assert were_free == [True]
