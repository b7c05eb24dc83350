"""Numbers beside the model's weights that training may learn: the contrastive temperature and the inner rates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from iglue_plugins.trainers.settings.xvl_maml import LearnedRates

LOG_LR_MULTIPLIER = (
    100  # AdamW moves a number by about its learning rate, made for weights and far too little for a logarithm
)


class LearnedFactors(nn.Module):
    """Positive factors, 1 at first, that the run's optimiser trains by their logarithms, at LOG_LR_MULTIPLIER times its rate."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.logarithms = nn.Parameter(torch.zeros(count))  # divided by LOG_LR_MULTIPLIER

    def forward(self) -> Tensor:
        """(count,). The gradient is that by the logarithms themselves, so that LOG_LR_MULTIPLIER does not show in clip_norm."""
        return (self.logarithms + (LOG_LR_MULTIPLIER - 1) * self.logarithms.detach()).exp()


class InnerRates(nn.Module):
    """The inner loop's learning rates by step and parameter: inner_lr, times the step's factor, times a learned one.

    learned: one factor for each layer or each parameter of those named (Meta-SGD, Li et al. 2017, by tensor instead of
    by element), or none.
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
        """For each step the rate of each parameter by name."""
        factors = self.factors().tolist() if self.is_learned else [1.0] * len(self._group_names)
        return [{name: rate * factors[group] for name, group in self._group.items()} for rate in self._step_rates]

    def gradient(self, by_rates: Sequence[dict[str, Tensor]]) -> Tensor:
        """By the factors' logarithms, from the gradients by each step's rates."""
        gradient = torch.zeros_like(self.factors.logarithms)
        for rates, of_step in zip(self.by_step(), by_rates, strict=True):
            for name, by_rate in of_step.items():
                gradient[self._group[name]] += rates[name] * by_rate
        return gradient

    @torch.no_grad()
    def scalars(self) -> dict[str, Tensor]:
        """The first step's learned rates by layer or parameter, to log."""
        if not self.is_learned:
            return {}
        return {
            f"inner_lr/{name}": self._step_rates[0] * factor
            for name, factor in zip(self._group_names, self.factors(), strict=True)
        }


def layer_of(name: str) -> str:
    """The numbered layer that a parameter stands in, or else the second module of its name: 'encoder.layers.3'."""
    parts = name.split(".")[:-1]
    numbered = next((place for place, part in enumerate(parts) if part.isdigit()), 1)
    return ".".join(parts[: numbered + 1])
