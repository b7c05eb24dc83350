"""Meta-gradients: that of an objective, and a reference by plain autograd through all inner steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from iglue_plugins.trainers.meta_objective import MetaObjective

Grads = dict[str, Tensor | None]


def gradients(objective: nn.Module, loss: Tensor) -> Grads:
    names, parameters = zip(*objective.named_parameters(), strict=True)
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    remaining = iter(torch.autograd.grad(loss, trained, allow_unused=True))
    return {
        name: next(remaining) if value.requires_grad else None for name, value in zip(names, parameters, strict=True)
    }


def meta_gradient(objective: MetaObjective, episodes: list[dict]) -> tuple[Tensor, Grads]:
    loss = objective(episodes)["loss"]
    return loss.detach(), gradients(objective, loss)


def assert_equal_gradients(actual: Grads, expected: Grads, tolerance: float = 1e-10) -> None:
    assert actual.keys() == expected.keys()
    for name, gradient in actual.items():
        assert (gradient is None) == (expected[name] is None), name
        if gradient is not None:
            torch.testing.assert_close(
                gradient, expected[name], rtol=tolerance, atol=tolerance, msg=lambda text, name=name: f"{name}: {text}"
            )


def unrolled(objective: MetaObjective, episodes: list[dict]) -> tuple[Tensor, Grads]:
    """Return the outer loss and its gradient by one backward pass through all steps and whole embedding matrices."""
    settings, losses = objective._settings, objective.batch_loss
    trained = {name: value for name, value in losses.named_parameters() if value.requires_grad}
    total = torch.zeros(())
    with sdpa_kernel(SDPBackend.MATH):
        for episode in episodes:
            theta = dict(trained)
            for step_rates in objective.inner_rates.by_step():
                rates = {f"model.{name}": rate for name, rate in step_rates.items()}
                loss = functional_call(losses, theta, (episode["support"], settings.inner_loss))["loss"]
                names = [name for name in theta if name in rates]
                slopes = torch.autograd.grad(
                    loss,
                    [theta[name] for name in names],
                    allow_unused=True,
                    create_graph=settings.algorithm != "fomaml",
                )
                theta |= {
                    name: theta[name] - rates[name] * slope
                    for name, slope in zip(names, slopes, strict=True)
                    if slope is not None
                }
            total = total + functional_call(losses, theta, (episode["query"], settings.outer_loss))["loss"]
    return total.detach(), gradients(objective, total)
