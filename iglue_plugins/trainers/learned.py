"""Numbers that training may learn beside the model's weights: the contrastive temperature and the inner rates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from iglue_plugins.trainers.settings.xvl_maml import LearnedRates

# AdamW moves a number by about its learning rate, which is made for weights and far too small for a logarithm.
LOG_LR_MULTIPLIER = 100


class LearnedFactors(nn.Module):
    """Positive factors that start at 1, of which the run's optimizer trains the logarithms.

    The logarithms learn at `LOG_LR_MULTIPLIER` times the optimizer's rate.

    Args:
        count: The number of factors.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.logarithms = nn.Parameter(torch.zeros(count))  # divided by LOG_LR_MULTIPLIER

    def forward(self) -> Tensor:
        """Compute the factors.

        Their gradient is that with respect to the logarithms themselves, so that `LOG_LR_MULTIPLIER` has no effect on
        gradient clipping.

        Returns:
            float32 (count,).
        """
        return (self.logarithms + (LOG_LR_MULTIPLIER - 1) * self.logarithms.detach()).exp()


class InnerRates(nn.Module):
    """The inner loop's learning rates: `inner_lr`, times the step's factor, times a learned factor.

    Args:
        names: The names of the parameters that the inner loop adapts.
        step_rates: The rate of each inner step, without learned factors.
        learned: Whether there is a learned factor for each "layer", for each "parameter", or "none".

    Source: Meta-SGD (Li et al. 2017), with a rate for each tensor instead of each element.
    """

    def __init__(self, names: Iterable[str], step_rates: Sequence[float], learned: LearnedRates) -> None:
        super().__init__()
        self.is_learned = learned != "none"
        self._step_rates = step_rates
        groups = {name: name if learned == "parameter" else layer_of(name) for name in names}
        self._group_names = list(dict.fromkeys(groups.values()))
        self._group = {name: self._group_names.index(group) for name, group in groups.items()}
        if self.is_learned:
            self.factors = LearnedFactors(len(self._group_names))

    def by_step(self) -> list[dict[str, float]]:
        """Return the rate of each adapted parameter, by name, for each inner step."""
        factors = self.factors().tolist() if self.is_learned else [1.0] * len(self._group_names)
        return [{name: rate * factors[group] for name, group in self._group.items()} for rate in self._step_rates]

    def gradient(self, rate_gradients: Sequence[dict[str, Tensor]]) -> Tensor:
        """Turn gradients with respect to the rates into the gradient with respect to the factors' logarithms.

        Args:
            rate_gradients: For each inner step, the gradient with respect to each parameter's rate, scalars by name.

        Returns:
            float32 (groups,).
        """
        gradient = torch.zeros_like(self.factors.logarithms)
        for rates, gradients in zip(self.by_step(), rate_gradients, strict=True):
            for name, rate_gradient in gradients.items():
                gradient[self._group[name]] += rates[name] * rate_gradient
        return gradient

    @torch.no_grad()
    def scalars(self) -> dict[str, Tensor]:
        """Return the first inner step's learned rates, by layer or parameter; empty where none is learned."""
        if not self.is_learned:
            return {}
        return {
            f"inner_lr/{name}": self._step_rates[0] * factor
            for name, factor in zip(self._group_names, self.factors(), strict=True)
        }


def layer_of(name: str) -> str:
    """Return the layer that a parameter belongs to.

    Args:
        name: The parameter's name, such as "encoder.layers.3.attention.query.weight".

    Returns:
        The name up to its first number ("encoder.layers.3"), or the first two modules of a name without a number.
    """
    parts = name.split(".")[:-1]
    numbered = next((place for place, part in enumerate(parts) if part.isdigit()), 1)
    return ".".join(parts[: numbered + 1])
