"""MAML's inner loop and the exact way back through it (Finn et al. 2017).

K inner steps lead from theta_0 to theta_K:  theta_{k+1} = theta_k - rate_k * g(theta_k),  g the inner loss's gradient.
The outer loss's gradient v at theta_K becomes the meta-gradient, its gradient by theta_0, step by step:

    v  <-  v - H(theta_k) (rate_k * v)        k = K - 1, ..., 0;  H: the inner loss's second derivatives

First order leaves the products out. So the outer loss is differentiated on its own and its graph freed before the first
product, and each step's graph is freed after its own; nothing differentiates through a chain of updated parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn.attention import SDPBackend, sdpa_kernel

from iglue_plugins.trainers.settings.xvl_maml import InnerStorage
from iglue_plugins.utils.errors import UserError

Parameters = dict[str, Tensor]
Gradients = dict[str, Tensor | None]  # None: the loss does not depend on it
Rates = Mapping[str, float]  # of the parameters that adapt

NOT_TWICE = ("is not implemented", "differentiate twice", "double backward")  # what PyTorch says of such an operation


@dataclass(frozen=True)
class Step:
    """The inner gradients at one theta; where they are graph edges or have a graph, it is a function of the leaves."""

    leaves: Parameters
    gradients: dict[str, Tensor | GradientEdge]


class InnerLoop:
    """Gradient steps on a loss, and what becomes of a gradient on its way back through them.

    loss: of parameters by name. rates: for each step the learning rates of the parameters that adapt.
    storage: what is kept of each step for the way back: its graph; its theta, from which the graph is computed again;
    or nothing but theta_0, from which the steps are taken again too, so that memory does not grow with their number.
    All three draw the same dropout and give the same gradient. learns_rates: the way back also gives the gradients by
    the rates.
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
        self.first_loss: Tensor | None = None  # at theta_0, detached
        self.reached: tuple[str, ...] = ()  # parameters that the first step has moved
        self._loss = loss
        self._rates = rates
        self._second_order = second_order
        self._storage = storage
        self._learns_rates = learns_rates
        self._noise: list[RngSnapshot] = []
        self._kept: list[Step | Parameters | None] = []

    def adapt(self, start: Parameters) -> Parameters:
        """theta_K from theta_0; what does not adapt, or what the loss does not depend on, is theta_0's own."""
        self._start = theta = start
        for rates in self._rates:
            self._noise.append(RngSnapshot(start))
            loss, step = self._gradients(theta, rates, keep_graph=self._second_order and self._storage == "graphs")
            if self.first_loss is None:
                self.first_loss, self.reached = loss, tuple(step.gradients)
            self._kept.append(self._to_keep(theta, step))
            theta = _moved(theta, step.gradients, rates)
        return theta

    def pull_back(self, gradient: Gradients) -> tuple[Gradients, list[dict[str, Tensor]]]:
        """A gradient at theta_K -> the gradient at theta_0, and by each step's rates if they are learned.

        Both are by all parameters, those that do not adapt included. The call consumes `gradient` and the loop, to limit peak memory.

        Raises:
            UserError: the inner loss has an operation that PyTorch cannot differentiate twice.
        """
        by_rates: list[dict[str, Tensor]] = []
        for number in reversed(range(len(self._kept))):
            kept = self._kept.pop()
            if not self._second_order and not self._learns_rates:
                continue
            step = kept if isinstance(kept, Step) else self.recompute_step(number, kept)
            if self._learns_rates:
                by_rates.insert(
                    0,
                    {
                        name: -torch.dot(own.detach().flatten(), gradient[name].flatten())
                        for name, own in step.gradients.items()
                        if gradient[name] is not None
                    },
                )
            if self._second_order:
                gradient = backprop_through_step(step, gradient, self._rates[number])
        return gradient, by_rates

    def _to_keep(self, theta: Parameters, step: Step) -> Step | Parameters | None:
        if self._second_order and self._storage != "graphs":
            return theta if self._storage == "parameters" else None
        if self._learns_rates:
            return Step(step.leaves, dict(step.gradients))
        if not self._second_order:
            return None
        edges = {name: get_gradient_edge(own) for name, own in step.gradients.items() if own.requires_grad}
        return Step(step.leaves, edges)  # without the gradients' values, which are as large as the parameters

    def recompute_step(self, number: int, theta: Parameters | None) -> Step:
        """Step `number` with its graph; its theta is found from theta_0 where it was not kept."""
        if theta is None:
            theta = self._start
            for noise, rates in zip(self._noise[:number], self._rates[:number], strict=True):
                with noise.restored():
                    theta = _moved(theta, self._gradients(theta, rates, keep_graph=False)[1].gradients, rates)
        with self._noise[number].restored():
            return self._gradients(theta, self._rates[number], keep_graph=True)[1]

    def _gradients(self, theta: Parameters, rates: Rates, keep_graph: bool) -> tuple[Tensor, Step]:
        leaves = {name: value.detach().requires_grad_(keep_graph or name in rates) for name, value in theta.items()}
        adapted = {name: leaf for name, leaf in leaves.items() if name in rates}
        with torch.enable_grad(), attention_for(self._second_order), explain_missing_double_backward(keep_graph):
            loss = self._loss(leaves)
            if not (adapted and loss.requires_grad):
                return loss.detach(), Step(leaves, {})
            found = torch.autograd.grad(loss, list(adapted.values()), create_graph=keep_graph, allow_unused=True)
        return loss.detach(), Step(
            leaves, {name: own for name, own in zip(adapted, found, strict=True) if own is not None}
        )


def _moved(theta: Parameters, gradients: Parameters, rates: Rates) -> Parameters:
    """theta - rate * gradient; consumes `gradients`, to limit peak memory."""
    moved = dict(theta)
    with torch.no_grad():
        for name in list(gradients):
            moved[name] = torch.add(theta[name], gradients.pop(name), alpha=-rates[name])
    return moved


def backprop_through_step(step: Step, gradient: Gradients, rates: Rates) -> Gradients:
    """v - H (rate * v), from the graph of the step's gradients."""
    names = [
        name
        for name, own in step.gradients.items()
        if gradient[name] is not None and (isinstance(own, GradientEdge) or own.requires_grad)
    ]
    if not names:
        return gradient
    scale = max(rates[name] for name in names)  # as a rule the rate of all, so that v itself is the vector
    vector = [gradient[name] if rates[name] == scale else gradient[name] * (rates[name] / scale) for name in names]
    with explain_missing_double_backward(twice=True):
        # Not grad(), which takes operations that are marked as differentiable only once for constants.
        torch.autograd.backward([step.gradients[name] for name in names], vector)
    del vector
    for name, leaf in step.leaves.items():  # one at a time, since together they are as large as the model
        gradient[name] = add(gradient[name], leaf.grad, -scale)
        leaf.grad = None
    return gradient


def add(one: Tensor | None, other: Tensor | None, factor: float = 1.0) -> Tensor | None:
    """one + factor * other, where None is zero; what nothing is added to is not copied."""
    if other is None or (one is None and factor == 1):
        return one if other is None else other
    return other * factor if one is None else torch.add(one, other, alpha=factor)


class RngSnapshot:
    """The random generators as they are now, to draw the same dropout again."""

    def __init__(self, parameters: Parameters) -> None:
        self._devices = {value.device for value in parameters.values() if value.is_cuda}
        self._states = {device: torch.cuda.get_rng_state(device) for device in self._devices}
        self._state = torch.get_rng_state()

    @contextmanager
    def restored(self) -> Iterator[None]:
        with torch.random.fork_rng(self._devices):
            torch.set_rng_state(self._state)
            for device, state in self._states.items():
                torch.cuda.set_rng_state(state, device)
            yield


def attention_for(second_order: bool) -> AbstractContextManager:
    """Fused attention has no double backward; the math kernel has, and is chosen only where it is needed."""
    return sdpa_kernel(SDPBackend.MATH) if second_order else nullcontext()


@contextmanager
def explain_missing_double_backward(twice: bool) -> Iterator[None]:
    """Where gradients are differentiated again, says in a sentence what an operation without that means."""
    try:
        yield
    except RuntimeError as error:
        said, _, _ = str(error).partition("\n")
        if not twice or not any(phrase in said for phrase in NOT_TWICE):
            raise
        raise UserError(
            f"the model has an operation that cannot be differentiated twice, as second order asks for ({said}); "
            "expected attention without a fused kernel (attn_implementation 'eager', or 'sdpa' that is free to choose "
            "its kernel), or trainer.first_order: true"
        ) from error


def with_gradient(value: Tensor, gradients: Gradients, parameters: Parameters) -> Tensor:
    """The scalar `value` as a loss whose gradients by the parameters of these names are known already.

    To what calls backward on it, and to the parameters' hooks, it is a loss like any other; but only once.
    """
    reached = [name for name, gradient in gradients.items() if gradient is not None]
    if not reached:
        return value.clone().requires_grad_()
    return _Known.apply(value, [gradients.pop(name) for name in reached], *(parameters[name] for name in reached))


class _Known(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: list[Tensor], *parameters: Tensor) -> Tensor:
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError("found a second backward through a meta-step, expected one; call the objective again")
        gradients, ctx.gradients = ctx.gradients, None  # handed over, so that parameters take them without a copy
        if incoming != 1:
            for place in range(len(gradients)):  # one at a time, since together they are as large as the model
                gradients[place] = gradients[place] * incoming
        return None, None, *gradients
