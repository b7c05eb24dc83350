"""The algorithms of a meta-step, by name, and what changes in them as training goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import get_args

from iglue_plugins.meta.choices import USED_BY, Algorithm, InnerStorage
from iglue_plugins.meta.implicit import ProximalLoop
from iglue_plugins.meta.inner_gradients import Loss
from iglue_plugins.meta.inner_loop import InnerLoop, Rates
from iglue_plugins.meta.reptile import ReptileLoop
from iglue_plugins.utils.errors import UserError, did_you_mean

Loop = InnerLoop | ProximalLoop


@dataclass(frozen=True)
class MetaAlgorithm:
    """How a meta-gradient goes through the inner steps.

    Attributes:
        name: "maml", exact; "fomaml", which takes inner gradients as constants; "reptile", which goes where the steps
            lead; or "imaml", the implicit gradient at a minimum near the start.
        storage: What "maml" keeps of each step, as for `InnerLoop`.
        second_order_after: The number of meta-steps for which "maml" is of first order, before it is of second.
        multi_step: The number of meta-steps over which the outer loss counts after every inner step, with ever less
            weight on those before the last; 0: it counts after the last alone.
        proximal: The pull of "imaml" back to the start.
        cg_iterations: The largest number of conjugate-gradient iterations of "imaml".
        cg_tolerance: The residual's share at which they end earlier.

    Source: MAML and its first order (Finn et al. 2017); Reptile (Nichol et al. 2018); iMAML (Rajeswaran et al. 2019);
    derivative-order annealing and the multi-step loss are of MAML++ (Antoniou et al. 2019).
    """

    name: Algorithm = "maml"
    storage: InnerStorage = "graphs"
    second_order_after: int = 0
    multi_step: int = 0
    proximal: float = 1.0
    cg_iterations: int = 5
    cg_tolerance: float = 1e-3

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            UserError: There is no such algorithm, or it does not use a setting that is not the default.
        """
        if self.name not in get_args(Algorithm):
            raise UserError(f"there is no algorithm '{self.name}'{did_you_mean(self.name, get_args(Algorithm))}")
        for field in fields(self):
            algorithms, value = USED_BY.get(field.name, get_args(Algorithm)), getattr(self, field.name)
            if self.name not in algorithms and value != field.default:
                raise UserError(
                    f"{field.name} is {value}, but algorithm '{self.name}' does not use it; remove it, or take "
                    f"{' or '.join(algorithms)}"
                )

    def loop(
        self, loss: Loss, rates: Sequence[Rates], step: int = 0, *, trains: bool = True, learns_rates: bool = False
    ) -> Loop:
        """Make the inner loop of an episode.

        Args:
            loss: Computes the inner loss, a scalar, from parameters by name.
            rates: For each inner step, the learning rates of the parameters that adapt.
            step: The number of the meta-step, from 0.
            trains: Whether the loop's `backpropagate` will be called.
            learns_rates: Whether it also returns gradients with respect to the rates.
        """
        if self.name == "imaml":
            return ProximalLoop(
                loss, rates, strength=self.proximal, iterations=self.cg_iterations, tolerance=self.cg_tolerance
            )
        if self.name == "reptile":
            return ReptileLoop(loss, rates)
        return InnerLoop(
            loss,
            rates,
            second_order=trains and self.name == "maml" and step >= self.second_order_after,
            storage=self.storage,
            learns_rates=learns_rates,
            revisits=trains and step < self.multi_step,
        )

    def outer_weights(self, inner_steps: int, step: int = 0) -> list[float]:
        """Return what the outer loss after each inner step counts in a meta-step.

        The weights begin equal and move linearly, over `multi_step` meta-steps, to the last step alone.

        Args:
            inner_steps: The number of inner steps.
            step: The number of the meta-step, from 0.

        Returns:
            A weight for each inner step, at least one; they add up to 1.
        """
        count = max(inner_steps, 1)
        if step >= self.multi_step:
            return [0.0] * (count - 1) + [1.0]
        early = (1 - step / self.multi_step) / count
        return [early] * (count - 1) + [1 - early * (count - 1)]
