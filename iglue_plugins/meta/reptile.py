"""Reptile: the meta-gradient is where the inner steps lead."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from typing_extensions import override

from iglue_plugins.meta.gradients import Gradients, Parameters, add_gradients
from iglue_plugins.meta.inner_gradients import Loss
from iglue_plugins.meta.inner_loop import InnerLoop, OuterGradient, Rates


class ReptileLoop(InnerLoop):
    """Gradient steps whose meta-gradient is (theta_0 - theta_{K+1}) / rate; the outer loss's gradient is the last step.

    The query set is the minibatch of step K + 1, at the rate of the first step. At one rate for all steps, the
    meta-gradient is the sum of the gradients of all minibatches, each at the parameters that the ones before it have
    led to. Nothing is differentiated twice.

    Args:
        loss: Computes the inner loss, a scalar, from parameters by name.
        rates: For each step, the learning rates of the parameters that adapt.

    Source: Reptile (Nichol et al. 2018), algorithm 2, with the gradient (theta - theta') / rate of its section 2.
    """

    def __init__(self, loss: Loss, rates: Sequence[Rates]) -> None:
        super().__init__(loss, rates, second_order=False)
        self._adapted: Parameters = {}

    @override
    def adapt(self, start: Parameters) -> Parameters:
        self._adapted = super().adapt(start)
        return self._adapted

    @override
    def backpropagate(
        self, gradient: Gradients, outer_gradient: OuterGradient | None = None
    ) -> tuple[Gradients, list[dict[str, Tensor]]]:
        for name in self.updated_names:
            moved = self._start[name] - self._adapted.pop(name)
            gradient[name] = add_gradients(moved.div_(self._rates[0][name]), gradient[name])
        return gradient, []
