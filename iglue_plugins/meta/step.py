"""A meta-step for any module and any loss: its value is a loss whose gradient is the meta-gradient."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from iglue_plugins.meta.algorithms import Loop, MetaAlgorithm
from iglue_plugins.meta.choices import Algorithm
from iglue_plugins.meta.gradients import Gradients, Parameters, add_gradients, autocast_cache_cleared, with_gradient
from iglue_plugins.utils.errors import UserError, did_you_mean

BatchLoss = Callable[[Parameters, Any], Tensor]
Episode = tuple[Any, Any]  # support and query batch


@dataclass(frozen=True)
class InnerSteps:
    """The steps of an inner loop.

    Attributes:
        rate: The learning rate.
        count: The number of steps.
        adapt: The names of the parameters that adapt; None: all.
        from_zero: The names of parameters that start each episode at zero and that only the inner loop moves: CAVIA's
            context parameters, which `adapt` then names alone.

    Source: MAML (Finn et al. 2017); ANIL (Raghu et al. 2020) and BOIL (Oh et al. 2021) choose what adapts; CAVIA
    (Zintgraf et al. 2019).
    """

    rate: float = 0.01
    count: int = 1
    adapt: Collection[str] | None = None
    from_zero: Collection[str] = ()


class MetaStep:
    """Computes meta-gradients of parameters for a loss.

    Its value, a scalar, is the outer loss summed over episodes. Calling its `backward`, once, adds the meta-gradient to
    the parameters' `grad`, for any optimizer to use.

    Args:
        loss: Computes a scalar from parameters by name and a batch, which may be anything. Of a module it is as a rule
            a loss of `torch.func.functional_call(module, parameters, ...)`.
        parameters: The parameters, by the names that `loss` gets them by; those that do not require grad are passed to
            `loss` as they are.
        inner: The inner steps.
        algorithm: The algorithm, or its name.
        outer_loss: Computes the loss of a query batch; None: `loss`.

    Raises:
        UserError: There is no such algorithm or inner step, or a name in `inner` is no parameter's or does not adapt.
    """

    def __init__(
        self,
        loss: BatchLoss,
        parameters: Mapping[str, Tensor],
        inner: InnerSteps = InnerSteps(),
        algorithm: Algorithm | MetaAlgorithm = "maml",
        outer_loss: BatchLoss | None = None,
    ) -> None:
        self._loss, self._outer_loss = loss, outer_loss or loss
        self._parameters = dict(parameters)
        self._inner = inner
        self._algorithm = algorithm if isinstance(algorithm, MetaAlgorithm) else MetaAlgorithm(algorithm)
        if inner.count < 1 or not inner.rate > 0:
            raise UserError(f"{inner.count} inner steps of rate {inner.rate} do not adapt; take one or more above 0")
        trained = {name for name, value in self._parameters.items() if value.requires_grad}
        for name in {*(inner.adapt or ()), *inner.from_zero} - trained:
            raise UserError(
                f"'{name}' adapts, but is no parameter that requires grad{did_you_mean(name, sorted(trained))}"
            )
        adapted = trained if inner.adapt is None else set(inner.adapt)
        if stays := set(inner.from_zero) - adapted:
            raise UserError(f"'{min(stays)}' starts from zero, but does not adapt; name it in adapt too")
        self._rates = [dict.fromkeys(adapted, inner.rate)] * inner.count

    def __call__(self, episodes: Iterable[Episode], step: int = 0) -> Tensor:
        """Take the inner steps of each episode, and compute the meta-gradient.

        Args:
            episodes: A support and a query batch of each.
            step: The number of the meta-step, from 0, for what the algorithm anneals.

        Returns:
            The outer loss, summed over the episodes. Its `backward` can be called once.

        Raises:
            UserError: There is no episode, or a loss has an operation that PyTorch cannot differentiate twice.
        """
        start = self._start()
        total: Gradients = {}
        values: list[Tensor] = []
        for support, query in episodes:
            value, gradient = self._episode(support, query, start, step)
            values.append(value)
            for name in list(gradient):
                total[name] = add_gradients(total.get(name), gradient.pop(name))
        if not values:
            raise UserError("a meta-step has no episode; give at least one pair of a support and a query batch")
        for name in self._inner.from_zero:
            total[name] = None
        return with_gradient(torch.stack(values).sum(), total, self._parameters)

    def _episode(self, support: Any, query: Any, start: Parameters, step: int) -> tuple[Tensor, Gradients]:
        loop = self._algorithm.loop(lambda theta: self._loss(theta, support), self._rates, step)
        adapted = loop.adapt(start)
        weights = self._algorithm.outer_weights(self._inner.count, step)

        def losses(theta: Parameters) -> dict[str, Tensor]:
            return {"loss": self._outer_loss(theta, query)}

        parts, gradient = outer_gradient(losses, adapted, weights[-1])
        del adapted  # as large as the model, and not needed for what comes
        parts, gradient, _ = backpropagated(loop, parts, gradient, losses, weights)
        return parts["loss"], gradient

    def adapt(self, support: Any) -> Parameters:
        """Take the inner steps on a support batch, as at test time.

        Args:
            support: The batch.

        Returns:
            The adapted parameters, detached, by name.
        """
        loop = self._algorithm.loop(lambda theta: self._loss(theta, support), self._rates, trains=False)
        return loop.adapt(self._start())

    def _start(self) -> Parameters:
        trained = {name: value.detach() for name, value in self._parameters.items() if value.requires_grad}
        return trained | {name: torch.zeros_like(trained[name]) for name in self._inner.from_zero}


def backpropagated(
    loop: Loop,
    parts: dict[str, Tensor],
    gradient: Gradients,
    losses: Callable[[Parameters], dict[str, Tensor]],
    weights: list[float],
) -> tuple[dict[str, Tensor], Gradients, list[dict[str, Tensor]]]:
    """Pass the gradient of an episode's outer loss back through the inner loop.

    Args:
        loop: The inner loop, which has taken its steps; it is consumed, as `gradient` is.
        parts: The scalars that `outer_gradient` returns at the adapted parameters.
        gradient: The gradient that it returns there.
        losses: Computes scalars by name, of which "loss" is the outer loss, from parameters.
        weights: What the loss after each inner step counts.

    Returns:
        The scalars, "loss" with those of earlier steps by their weights; the gradient with respect to theta_0; and the
        gradients with respect to the rates, as `InnerLoop.backpropagate` returns them.
    """
    total = dict(parts)

    def at_step(number: int, theta: Parameters) -> Gradients:
        if not weights[number - 1]:
            return {}
        earlier, added = outer_gradient(losses, theta, weights[number - 1])
        total["loss"] = total["loss"] + earlier["loss"]
        return added

    gradients = loop.backpropagate(gradient, at_step if any(weights[:-1]) else None)
    return total, *gradients


@autocast_cache_cleared()
def outer_gradient(
    losses: Callable[[Parameters], dict[str, Tensor]], theta: Parameters, weight: float = 1.0
) -> tuple[dict[str, Tensor], Gradients]:
    """Compute an outer loss and its gradient, whose graph is freed.

    Args:
        losses: Computes scalars by name, of which "loss" is the outer loss, from parameters.
        theta: The parameters.
        weight: What the loss is multiplied by.

    Returns:
        The scalars, detached, and the gradient with respect to all parameters, None where there is none.
    """
    leaves = {name: value.detach().requires_grad_() for name, value in theta.items()}
    with torch.enable_grad():
        parts = losses(leaves)
        if weight != 1:
            parts["loss"] = parts["loss"] * weight
        found = torch.autograd.grad(parts["loss"], list(leaves.values()), allow_unused=True)
    return {name: part.detach() for name, part in parts.items()}, dict(zip(leaves, found, strict=True))
