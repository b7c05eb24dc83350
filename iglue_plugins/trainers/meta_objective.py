"""The meta-step as an objective: forward computes the meta-gradient, and backward passes it to the parameters."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from iglue_plugins.data.batching import Batch
from iglue_plugins.meta.algorithms import Loop, MetaAlgorithm
from iglue_plugins.meta.gradients import Gradients, Parameters, add_gradients, with_gradient
from iglue_plugins.meta.step import backpropagated, outer_gradient
from iglue_plugins.trainers.embedding_subset import EmbeddingSubset
from iglue_plugins.trainers.inner_parameters import adapted_parameters, context_name
from iglue_plugins.trainers.learned import InnerRates
from iglue_plugins.trainers.objectives import BatchLoss
from iglue_plugins.trainers.settings.base import LossChoice
from iglue_plugins.trainers.settings.xvl_maml import XVLMAMLSettings
from iglue_plugins.utils.errors import UserError

Episode = dict[str, Any]  # "language" (str), "support" and "query" (batches)

MODEL = "model."  # what the names of the model's parameters begin with in BatchLoss
PARTS = ("support", "query")
RATES = "inner_rates"  # the name of the factors of learned rates among the gradients

logger = logging.getLogger(__name__)


class MetaObjective(nn.Module):
    """The outer loss at the adapted parameters, summed over the episodes of a meta-step.

    Its trained parameters are those of the losses, and the factors of the inner rates where these are learned. A
    context is none of them: it starts each episode at zero, and the inner loop alone moves it.

    Args:
        batch_loss: The losses of a batch.
        settings: The settings of XVL-MAML.

    Attributes:
        is_logging: Whether scalars that are only logged are computed; the engine sets it before each step.

    Raises:
        UserError: `settings.adapt` names no parameter of the model, the model cannot compute a loss, or it has no
            context and the settings ask for one.

    Source: the XVL-MAML paper (arXiv 2305.14843).
    """

    def __init__(self, batch_loss: BatchLoss, settings: XVLMAMLSettings) -> None:
        super().__init__()
        batch_loss.check(settings.outer_loss, *([settings.inner_loss] if settings.step_rates else []))
        self.batch_loss = batch_loss
        self.is_logging = True
        self._settings = settings
        self._algorithm = MetaAlgorithm(
            settings.algorithm,
            settings.inner_storage,
            settings.second_order_after,
            settings.multi_step,
            settings.proximal,
            settings.cg_iterations,
            settings.cg_tolerance,
        )
        model, self._context = batch_loss.model, ""  # its name where the inner loop adapts it alone
        if settings.context_size:
            adapted = [context_name(model, settings.context_size)]
            self._context = MODEL + adapted[0]
        else:
            adapted = adapted_parameters(model, settings.adapt)
        self.inner_rates = InnerRates(adapted, settings.step_rates, settings.learned_rates)
        self._has_warned = False

    def forward(self, episodes: Sequence[Episode], step: int = 0) -> dict[str, Tensor]:
        """Take the inner loops of a meta-step, and compute the meta-gradient.

        Args:
            episodes: An episode of each auxiliary language, or of some of them.
            step: The number of the meta-step, from 0, for what the algorithm anneals.

        Returns:
            Scalars by name: "loss", whose backward can be called once, and others, which are logged (means over the
            episodes).

        Raises:
            UserError: The inner loss depends on no parameter that adapts, or has an operation that PyTorch cannot
                differentiate twice.
        """
        trained: Parameters = {name: value for name, value in self.batch_loss.named_parameters() if value.requires_grad}
        rows = EmbeddingSubset.from_batches(
            self.batch_loss, self.batch_loss.model, [episode[part] for episode in episodes for part in PARTS]
        )
        if rows:
            trained[rows.name] = rows.gather()
            episodes = [episode | {part: rows.remap_ids(episode[part]) for part in PARTS} for episode in episodes]
        with rows.padding() if rows else nullcontext():
            outcomes, gradient = self._meta_gradient(episodes, trained, step)
        logged = {key: torch.stack([outcome[key].detach() for outcome in outcomes]).mean() for key in outcomes[0]}
        if self.is_logging:
            logged |= self.inner_rates.scalars()
        loss = torch.stack([outcome["loss"].detach() for outcome in outcomes]).sum()
        if torch.is_grad_enabled():
            if self.inner_rates.is_learned:
                trained[RATES] = self.inner_rates.factors.logarithms
            self._warn_unused_parameters(gradient)
            loss = with_gradient(loss, gradient, trained)
        return {**logged, "loss": loss}

    def learned(self) -> dict[str, float]:
        """Return the temperature and the first inner step's rates, where they are learned, for the run's record."""
        return self.batch_loss.learned() | {name: rate.item() for name, rate in self.inner_rates.scalars().items()}

    def _meta_gradient(
        self, episodes: Sequence[Episode], trained: Parameters, step: int
    ) -> tuple[list[dict[str, Tensor]], Gradients]:
        """Compute each episode's scalars, and the gradient of the sum of their outer losses."""
        start = {name: value.detach() for name, value in trained.items()}
        if self._context:
            start[self._context] = torch.zeros_like(self.batch_loss.get_buffer(self._context))
        rates = [
            {MODEL + name: rate for name, rate in step_rates.items() if MODEL + name in start}
            for step_rates in self.inner_rates.by_step()
        ]
        outcomes: list[dict[str, Tensor]] = []
        total: Gradients = {}
        for episode in episodes:
            outcome, gradient = self._episode(episode, start, rates, step)
            outcomes.append(outcome)
            for name in list(gradient):  # one at a time, since together they are as large as the model
                total[name] = add_gradients(total.get(name), gradient.pop(name))
        if self._context:
            total.pop(self._context, None)
        return outcomes, total

    def _episode(
        self, episode: Episode, start: Parameters, rates: list[dict[str, float]], step: int
    ) -> tuple[dict[str, Tensor], Gradients]:
        settings = self._settings
        contrastive_pairs: list[Tensor | None] = []  # of each evaluation of the inner loss

        def inner_loss(parameters: Parameters) -> Tensor:
            with nullcontext() if settings.inner_dropout else without_dropout(self.batch_loss):
                parts = self._losses(parameters, episode["support"], settings.inner_loss)
            contrastive_pairs.append(parts.get("contrastive_pairs"))
            return parts["loss"]

        def outer_losses(parameters: Parameters) -> dict[str, Tensor]:
            return self._losses(parameters, episode["query"], settings.outer_loss)

        trains = torch.is_grad_enabled()
        loop = self._algorithm.loop(
            inner_loss, rates, step, trains=trains, learns_rates=trains and self.inner_rates.is_learned
        )
        adapted = loop.adapt(start)
        scalars: dict[str, Tensor] = {}
        if loop.first_loss is not None:
            self._check_adaptation(loop, rates[0], contrastive_pairs[0])
            scalars["inner_loss_before"] = loop.first_loss
            if self.is_logging:
                # What is only logged draws its dropout aside, so that log_every does not change the weights.
                device = loop.first_loss.device
                with torch.no_grad(), torch.random.fork_rng([device] if device.type == "cuda" else []):
                    scalars["inner_loss_after"] = inner_loss(adapted)
        if not trains:
            return {**outer_losses(adapted), **scalars}, {}
        weights = self._algorithm.outer_weights(len(rates), step)
        parts, gradient = outer_gradient(outer_losses, adapted, weights[-1])
        del adapted  # as large as the model, and not needed for what comes
        parts, gradient, rate_gradients = backpropagated(loop, parts, gradient, outer_losses, weights)
        if self.inner_rates.is_learned:
            gradient[RATES] = self.inner_rates.gradient(
                [{name.removeprefix(MODEL): value for name, value in step.items()} for step in rate_gradients]
            )
        scalars |= {name: torch.tensor(value) for name, value in loop.scalars.items()}
        return {**parts, **scalars}, gradient

    def _losses(self, parameters: Parameters, batch: Batch, choice: LossChoice) -> dict[str, Tensor]:
        return functional_call(self.batch_loss, parameters, (batch, choice))

    def _check_adaptation(self, loop: Loop, rates: dict[str, float], pairs: Tensor | None) -> None:
        if not rates:
            raise UserError(
                f"trainer.adapt: no parameter of {self._settings.adapt!r} is trained; name at least one that is"
            )
        has_negatives = pairs is None or pairs > 0  # without any the contrastive loss is 0 and teaches nothing
        if not loop.updated_names and has_negatives:
            if self._context:
                raise UserError(
                    f"trainer.context_size is {self._settings.context_size}, but the inner loss "
                    f"'{self._settings.inner_loss}' does not depend on the model's context; choose another inner_loss, "
                    "or set it to 0"
                )
            names = [name.removeprefix(MODEL) for name in rates]
            raise UserError(
                f"trainer.adapt: the inner loss '{self._settings.inner_loss}' depends on none of the {len(names)} "
                f"parameters ({', '.join(names[:3])}, ...); name at least one that it depends on"
            )

    def _warn_unused_parameters(self, gradient: Gradients) -> None:
        """Warn once of trained parameters that neither loss reaches, such as those of a head that no loss uses."""
        if self._has_warned:
            return
        self._has_warned = True
        unused = [name.removeprefix(MODEL) for name, value in gradient.items() if value is None]
        if unused:
            logger.warning(
                "%d of the %d trained parameters get no gradient and stay as they are: %s",
                len(unused),
                len(gradient),
                ", ".join(unused),
            )


@contextmanager
def without_dropout(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode inside the block.

    Args:
        module: A module of which some parts may be in evaluation mode already; they stay so after the block.
    """
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True
