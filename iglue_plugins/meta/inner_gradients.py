"""The gradients of an inner loss, with or without the graph that leads to its second derivatives."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

from iglue_plugins.meta.double_backward import attention_for, explain_missing_double_backward
from iglue_plugins.meta.gradients import Parameters, autocast_cache_cleared

Loss = Callable[[Parameters], Tensor]


@dataclass(frozen=True)
class Step:
    """The inner gradients at one theta.

    Attributes:
        leaves: theta, as leaves of the graph that the gradients may have.
        gradients: The gradients of the parameters that adapt, by name.
    """

    leaves: Parameters
    gradients: Parameters


@dataclass(frozen=True)
class StepGraph:
    """What remains of a `Step` for Hessian-vector products: the graph without the gradients' values.

    The values are as large as the parameters, and the products do not need them.

    Attributes:
        leaves: theta, as leaves of the graph.
        edges: Where the graph of each gradient begins, by name.
    """

    leaves: Parameters
    edges: Mapping[str, GradientEdge]

    @classmethod
    def of(cls, step: Step) -> StepGraph:
        """Drop the values of a step's gradients.

        Args:
            step: The step, whose gradients have a graph.
        """
        edges = {name: get_gradient_edge(value) for name, value in step.gradients.items() if value.requires_grad}
        return cls(step.leaves, edges)

    @autocast_cache_cleared()
    def multiply(self, vector: Parameters, retain_graph: bool = False) -> dict[str, Tensor | None]:
        """Multiply the inner loss's Hessian by a vector.

        Args:
            vector: A tensor for some of the parameters of `edges`, by name; at least one.
            retain_graph: Whether the graph is kept for another product.

        Returns:
            The product for each leaf, None where it is zero. Without `retain_graph` the call consumes the graph.

        Raises:
            UserError: The inner loss has an operation that PyTorch cannot differentiate twice.
        """
        with explain_missing_double_backward(twice=True):
            # Not grad(), which takes operations that are marked as differentiable only once for constants.
            torch.autograd.backward(
                [self.edges[name] for name in vector], list(vector.values()), retain_graph=retain_graph
            )
        products: dict[str, Tensor | None] = {}
        for name, leaf in self.leaves.items():
            products[name], leaf.grad = leaf.grad, None
        return products


@autocast_cache_cleared()
def inner_gradients(
    loss: Loss, theta: Parameters, adapted: Collection[str], *, keep_graph: bool, second_order: bool
) -> tuple[Tensor, Step]:
    """Compute an inner loss and its gradients.

    Args:
        loss: Computes the loss, a scalar, from parameters by name.
        theta: The parameters.
        adapted: The names of those that gradients are computed for.
        keep_graph: Whether the gradients have a graph.
        second_order: Whether this loss's gradients are differentiated, now or when it is computed again.

    Returns:
        The loss, detached, and the step. A parameter that the loss does not depend on has no gradient.

    Raises:
        UserError: The loss has an operation that PyTorch cannot differentiate twice.
    """
    leaves = {name: value.detach().requires_grad_(keep_graph or name in adapted) for name, value in theta.items()}
    sought = {name: leaf for name, leaf in leaves.items() if name in adapted}
    with torch.enable_grad(), attention_for(second_order), explain_missing_double_backward(keep_graph):
        value = loss(leaves)
        if not (sought and value.requires_grad):
            return value.detach(), Step(leaves, {})
        found = torch.autograd.grad(value, list(sought.values()), create_graph=keep_graph, allow_unused=True)
    gradients = {name: gradient for name, gradient in zip(sought, found, strict=True) if gradient is not None}
    return value.detach(), Step(leaves, gradients)


def descend(theta: Parameters, gradients: Parameters, rates: Mapping[str, float]) -> Parameters:
    """Compute theta - rate * gradient; consumes `gradients`, to limit peak memory.

    Args:
        theta: The parameters.
        gradients: The gradients of some of them, by name.
        rates: The learning rates of these.

    Returns:
        All parameters; those without a gradient are those of `theta`.
    """
    updated = dict(theta)
    with torch.no_grad():
        for name in list(gradients):
            updated[name] = torch.add(theta[name], gradients.pop(name), alpha=-rates[name])
    return updated
