"""The inner loop of MAML: parameters adapted by a few gradient steps, as a function of where they started."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

Parameters = dict[str, Tensor]


def attention_for(second_order: bool) -> AbstractContextManager:
    """Fused attention has no double backward; the math kernel has, and is chosen only where it is needed."""
    return sdpa_kernel(SDPBackend.MATH) if second_order else nullcontext()


def adapt(
    inner_loss: Callable[[Parameters], Tensor],
    parameters: Parameters,
    *,
    steps: int,
    learning_rate: float,
    second_order: bool,
) -> tuple[Parameters, Tensor]:
    """theta' <- theta' - learning_rate * grad inner_loss(theta'), `steps` times, starting at theta.

    parameters: theta, by name; those that the loss does not depend on come back as they are. second_order: theta'
    keeps its whole dependence on theta; otherwise the inner gradients count as constants (FOMAML).
    Returns theta' and the inner loss at theta, a detached scalar.
    Source: Finn et al. 2017, algorithm 1; the loss is XVL-MAML's contrastive one by default.
    """
    adapted, first_loss = parameters, None
    for _ in range(steps):
        loss = inner_loss(adapted)
        first_loss = loss.detach() if first_loss is None else first_loss
        gradients = torch.autograd.grad(
            loss, list(adapted.values()), create_graph=second_order, allow_unused=True)
        adapted = {
            name: value if gradient is None else torch.add(value, gradient, alpha=-learning_rate)
            for (name, value), gradient in zip(adapted.items(), gradients)
        }
    return adapted, first_loss
