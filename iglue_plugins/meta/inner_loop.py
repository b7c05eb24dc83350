"""MAML's inner loop, and exact backpropagation through it.

K inner steps lead from theta_0 to theta_K:  theta_{k+1} = theta_k - rate_k * g(theta_k),  g the inner loss's gradient.
The outer loss's gradient v at theta_K becomes the meta-gradient, its gradient with respect to theta_0, step by step:

    v  <-  v - H(theta_k) (rate_k * v)        k = K - 1, ..., 0;  H: the inner loss's Hessian

First order leaves the Hessian-vector products out. The outer loss is differentiated separately and its graph is freed
before the first product, and each step's graph is freed after its product: nothing differentiates through a chain of
updated parameters.

Source: MAML (Finn et al. 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from iglue_plugins.meta.choices import InnerStorage
from iglue_plugins.meta.gradients import Gradients, Parameters, add_gradients
from iglue_plugins.meta.inner_gradients import Loss, Step, StepGraph, descend, inner_gradients
from iglue_plugins.meta.random_state import RngSnapshot

Rates = Mapping[str, float]  # learning rates of the parameters that adapt, by name
OuterGradient = Callable[[int, Parameters], Gradients]  # at theta_k, from k and theta_k


class InnerLoop:
    """Gradient steps on a loss, and backpropagation through them.

    Args:
        loss: Computes the inner loss, a scalar, from parameters by name.
        rates: For each step, the learning rates of the parameters that adapt.
        second_order: Whether backpropagation takes Hessian-vector products.
        storage: What is kept of each step for backpropagation: "graphs" keeps its graph; "parameters" keeps its theta,
            from which the graph is recomputed; "start" keeps theta_0 alone, from which the steps are recomputed too, so
            that memory does not grow with their number. All draw the same dropout and give the same gradient.
        learns_rates: Whether backpropagation also returns gradients with respect to the rates.
        revisits: Whether backpropagation is given gradients at theta_1, ..., theta_{K-1} too.

    Attributes:
        first_loss: The inner loss at theta_0, detached; None before `adapt`, and without any step.
        updated_names: The names of the parameters that the first step changes.
        scalars: What other loops have to log after `backpropagate`, by name; empty.
    """

    def __init__(
        self,
        loss: Loss,
        rates: Sequence[Rates],
        *,
        second_order: bool,
        storage: InnerStorage = "graphs",
        learns_rates: bool = False,
        revisits: bool = False,
    ) -> None:
        self.first_loss: Tensor | None = None
        self.updated_names: tuple[str, ...] = ()
        self.scalars: dict[str, float] = {}
        self._loss = loss
        self._rates = rates
        self._second_order = second_order
        self._storage = storage
        self._learns_rates = learns_rates
        self._revisits = revisits
        self._rng_snapshots: list[RngSnapshot] = []
        self._stored_steps: list[Step | StepGraph | Parameters | None] = []

    def adapt(self, start: Parameters) -> Parameters:
        """Take the inner steps.

        Args:
            start: theta_0, detached.

        Returns:
            theta_K. A parameter that does not adapt, or that the loss does not depend on, is that of theta_0.
        """
        self._start = theta = start
        for rates in self._rates:
            self._rng_snapshots.append(RngSnapshot(start))
            loss, step = self._gradients(theta, rates, keep_graph=self._second_order and self._storage == "graphs")
            if self.first_loss is None:
                self.first_loss, self.updated_names = loss, tuple(step.gradients)
            self._stored_steps.append(self._to_store(theta, step))
            theta = descend(theta, step.gradients, rates)
        return theta

    def backpropagate(
        self, gradient: Gradients, outer_gradient: OuterGradient | None = None
    ) -> tuple[Gradients, list[dict[str, Tensor]]]:
        """Backpropagate through the inner steps.

        The call consumes `gradient` and the loop, to limit peak memory.

        Args:
            gradient: A loss's gradient at theta_K, with respect to all parameters, those that do not adapt included.
            outer_gradient: Computes the gradient of what the loss adds at theta_1 to theta_{K-1}; needs `revisits`.

        Returns:
            The loss's gradient with respect to theta_0, and for each step its gradients with respect to the rates,
            scalars by parameter name (an empty list where the rates are not learned).

        Raises:
            UserError: The inner loss has an operation that PyTorch cannot differentiate twice.
        """
        rate_gradients: list[dict[str, Tensor]] = []
        for number in reversed(range(len(self._stored_steps))):
            stored = self._stored_steps.pop()
            theta = stored if isinstance(stored, dict) else {}
            if self._second_order or self._learns_rates:
                step = stored if isinstance(stored, Step | StepGraph) else self._recompute_step(number, stored)
                theta = step.leaves
                if isinstance(step, Step):
                    if self._learns_rates:
                        rate_gradients.insert(0, _rate_gradients(step, gradient))
                    step = StepGraph.of(step)
                if self._second_order:
                    gradient = backprop_through_step(step, gradient, self._rates[number])
            if outer_gradient is not None and number > 0:
                added = outer_gradient(number, {name: value.detach() for name, value in theta.items()})
                for name in list(added):
                    gradient[name] = add_gradients(gradient[name], added.pop(name))
        return gradient, rate_gradients

    def _to_store(self, theta: Parameters, step: Step) -> Step | StepGraph | Parameters | None:
        if self._second_order and self._storage != "graphs":
            return theta if self._storage == "parameters" else None
        if self._learns_rates:
            return Step(step.leaves, dict(step.gradients))
        if not self._second_order:
            return theta if self._revisits else None
        return StepGraph.of(step)

    def _recompute_step(self, number: int, theta: Parameters | None) -> Step:
        """Compute a step again, with its graph and the same dropout.

        Args:
            number: The step's number, from 0.
            theta: The parameters at which it starts; None takes the steps before it again.

        Returns:
            The step, whose gradients have a graph.
        """
        if theta is None:
            theta = self._start
            for snapshot, rates in zip(self._rng_snapshots[:number], self._rates[:number], strict=True):
                with snapshot.restored():
                    theta = descend(theta, self._gradients(theta, rates, keep_graph=False)[1].gradients, rates)
        with self._rng_snapshots[number].restored():
            return self._gradients(theta, self._rates[number], keep_graph=True)[1]

    def _gradients(self, theta: Parameters, rates: Rates, keep_graph: bool) -> tuple[Tensor, Step]:
        return inner_gradients(self._loss, theta, rates, keep_graph=keep_graph, second_order=self._second_order)


def _rate_gradients(step: Step, gradient: Gradients) -> dict[str, Tensor]:
    """Compute a loss's gradient with respect to a step's rates, from its gradient with respect to the moved theta."""
    return {
        name: -torch.dot(inner.detach().flatten(), outer.flatten())
        for name, inner in step.gradients.items()
        if (outer := gradient[name]) is not None
    }


def backprop_through_step(step: StepGraph, gradient: Gradients, rates: Rates) -> Gradients:
    """Backpropagate through one inner step: v - H (rate * v).

    The call consumes `gradient` and the step's graph.

    Args:
        step: The step's graph.
        gradient: v, a loss's gradient with respect to the parameters after the step.
        rates: The step's learning rates.

    Returns:
        The loss's gradient with respect to the parameters before the step.

    Raises:
        UserError: The inner loss has an operation that PyTorch cannot differentiate twice.
    """
    # A nested loop, not :=, whose name would keep the last gradient alive until the end.
    outer = {name: value for name in step.edges for value in [gradient[name]] if value is not None}
    if not outer:
        return gradient
    scale = max(rates[name] for name in outer)  # as a rule the rate of all, so that v itself is the vector
    vector = {name: value if rates[name] == scale else value * (rates[name] / scale) for name, value in outer.items()}
    del outer
    products = step.multiply(vector)
    del vector
    for name in list(products):  # one at a time, since together they are as large as the model
        gradient[name] = add_gradients(gradient[name], products.pop(name), -scale)
    return gradient
