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

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn.attention import SDPBackend, sdpa_kernel

from iglue_plugins.trainers.gradients import Gradients, Parameters, add_gradients, autocast_cache_cleared
from iglue_plugins.trainers.settings.xvl_maml import InnerStorage
from iglue_plugins.utils.errors import UserError

Rates = Mapping[str, float]  # learning rates of the parameters that adapt, by name

# What PyTorch says of an operation that has no double backward.
NO_DOUBLE_BACKWARD = ("is not implemented", "differentiate twice", "double backward")


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
    """What remains of a `Step` for its Hessian-vector product: the graph without the gradients' values.

    The values are as large as the parameters, and the product does not need them.

    Attributes:
        leaves: theta, as leaves of the graph.
        edges: Where the graph of each gradient begins, by name.
    """

    leaves: Parameters
    edges: Mapping[str, GradientEdge]


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

    Attributes:
        first_loss: The inner loss at theta_0, detached; None before `adapt`, and without any step.
        updated_names: The names of the parameters that the first step changes.
    """

    def __init__(
        self,
        loss: Callable[[Parameters], Tensor],
        rates: Sequence[Rates],
        *,
        second_order: bool,
        storage: InnerStorage = "graphs",
        learns_rates: bool = False,
    ) -> None:
        self.first_loss: Tensor | None = None
        self.updated_names: tuple[str, ...] = ()
        self._loss = loss
        self._rates = rates
        self._second_order = second_order
        self._storage = storage
        self._learns_rates = learns_rates
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
            theta = _descend(theta, step.gradients, rates)
        return theta

    def backpropagate(self, gradient: Gradients) -> tuple[Gradients, list[dict[str, Tensor]]]:
        """Backpropagate through the inner steps.

        The call consumes `gradient` and the loop, to limit peak memory.

        Args:
            gradient: A loss's gradient at theta_K, with respect to all parameters, those that do not adapt included.

        Returns:
            The loss's gradient with respect to theta_0, and for each step its gradients with respect to the rates,
            scalars by parameter name (an empty list where the rates are not learned).

        Raises:
            UserError: The inner loss has an operation that PyTorch cannot differentiate twice.
        """
        rate_gradients: list[dict[str, Tensor]] = []
        for number in reversed(range(len(self._stored_steps))):
            stored = self._stored_steps.pop()
            if not self._second_order and not self._learns_rates:
                continue
            step = stored if isinstance(stored, Step | StepGraph) else self.recompute_step(number, stored)
            if isinstance(step, Step):
                if self._learns_rates:
                    rate_gradients.insert(0, _rate_gradients(step, gradient))
                step = StepGraph(step.leaves, _edges(step.gradients))
            if self._second_order:
                gradient = backprop_through_step(step, gradient, self._rates[number])
        return gradient, rate_gradients

    def _to_store(self, theta: Parameters, step: Step) -> Step | StepGraph | Parameters | None:
        if self._second_order and self._storage != "graphs":
            return theta if self._storage == "parameters" else None
        if self._learns_rates:
            return Step(step.leaves, dict(step.gradients))
        if not self._second_order:
            return None
        return StepGraph(step.leaves, _edges(step.gradients))

    def recompute_step(self, number: int, theta: Parameters | None) -> Step:
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
                    theta = _descend(theta, self._gradients(theta, rates, keep_graph=False)[1].gradients, rates)
        with self._rng_snapshots[number].restored():
            return self._gradients(theta, self._rates[number], keep_graph=True)[1]

    @autocast_cache_cleared()
    def _gradients(self, theta: Parameters, rates: Rates, keep_graph: bool) -> tuple[Tensor, Step]:
        leaves = {name: value.detach().requires_grad_(keep_graph or name in rates) for name, value in theta.items()}
        adapted = {name: leaf for name, leaf in leaves.items() if name in rates}
        with torch.enable_grad(), attention_for(self._second_order), explain_missing_double_backward(keep_graph):
            loss = self._loss(leaves)
            if not (adapted and loss.requires_grad):
                return loss.detach(), Step(leaves, {})
            found = torch.autograd.grad(loss, list(adapted.values()), create_graph=keep_graph, allow_unused=True)
        gradients = {name: gradient for name, gradient in zip(adapted, found, strict=True) if gradient is not None}
        return loss.detach(), Step(leaves, gradients)


def _edges(gradients: Parameters) -> dict[str, GradientEdge]:
    return {name: get_gradient_edge(gradient) for name, gradient in gradients.items() if gradient.requires_grad}


def _rate_gradients(step: Step, gradient: Gradients) -> dict[str, Tensor]:
    """Compute a loss's gradient with respect to a step's rates, from its gradient with respect to the moved theta."""
    return {
        name: -torch.dot(inner.detach().flatten(), outer.flatten())
        for name, inner in step.gradients.items()
        if (outer := gradient[name]) is not None
    }


def _descend(theta: Parameters, gradients: Parameters, rates: Rates) -> Parameters:
    """Compute theta - rate * gradient; consumes `gradients`, to limit peak memory."""
    updated = dict(theta)
    with torch.no_grad():
        for name in list(gradients):
            updated[name] = torch.add(theta[name], gradients.pop(name), alpha=-rates[name])
    return updated


@autocast_cache_cleared()
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
    vector = [value if rates[name] == scale else value * (rates[name] / scale) for name, value in outer.items()]
    with explain_missing_double_backward(twice=True):
        # Not grad(), which takes operations that are marked as differentiable only once for constants.
        torch.autograd.backward([step.edges[name] for name in outer], vector)
    del outer
    del vector
    for name, leaf in step.leaves.items():  # one at a time, since together they are as large as the model
        gradient[name] = add_gradients(gradient[name], leaf.grad, -scale)
        leaf.grad = None
    return gradient


class RngSnapshot:
    """The state of the random generators, from which the same dropout can be drawn again.

    Args:
        parameters: Tensors on all devices that are computed on.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._devices = {value.device for value in parameters.values() if value.is_cuda}
        self._states = {device: torch.cuda.get_rng_state(device) for device in self._devices}
        self._state = torch.get_rng_state()

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Draw from the saved state inside the block; the generators are afterwards as they were before it."""
        with torch.random.fork_rng(self._devices):
            torch.set_rng_state(self._state)
            for device, state in self._states.items():
                torch.cuda.set_rng_state(state, device)
            yield


def attention_for(second_order: bool) -> AbstractContextManager:
    """Choose PyTorch's math kernel for second order, since fused attention has no double backward."""
    return sdpa_kernel(SDPBackend.MATH) if second_order else nullcontext()


@contextmanager
def explain_missing_double_backward(twice: bool) -> Iterator[None]:
    """Turn PyTorch's error about an operation without a double backward into a sentence.

    Args:
        twice: Whether gradients are differentiated again in the block.

    Raises:
        UserError: The model has such an operation.
    """
    try:
        yield
    except RuntimeError as error:
        said, _, _ = str(error).partition("\n")
        if not twice or not any(phrase in said for phrase in NO_DOUBLE_BACKWARD):
            raise
        raise UserError(
            f"the model has an operation that cannot be differentiated twice, as second order asks for ({said}); use "
            "attention without a fused kernel (attn_implementation 'eager', or 'sdpa' that is free to choose its "
            "kernel), or set trainer.first_order: true"
        ) from error
