"""The meta-step as an objective: its forward computes the meta-gradient, and its loss's backward hands that over."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from fnmatch import filter as matching
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from transformers import PreTrainedModel

from iglue_plugins.trainers.embedding_subset import EmbeddingSubset
from iglue_plugins.trainers.learned import InnerRates
from iglue_plugins.trainers.maml import Gradients, InnerLoop, Parameters, add, with_gradient
from iglue_plugins.trainers.objectives import BatchLoss
from iglue_plugins.trainers.settings.base import LossChoice
from iglue_plugins.trainers.settings.xvl_maml import AdaptChoice, XVLMAMLSettings
from iglue_plugins.utils.errors import UserError

Episode = dict[str, Any]  # 'language' (str), 'support' and 'query' (batches)

MODEL = "model."  # the model's place in the batch loss
PARTS = ("support", "query")
RATES = "inner_rates"

logger = logging.getLogger(__name__)


class MetaObjective(nn.Module):
    """The sum over the episodes (one for each auxiliary language) of the outer loss at the adapted parameters.

    Its trained parameters are those of the losses, and the inner rates' factors where these are learned.
    """

    def __init__(self, batch_loss: BatchLoss, settings: XVLMAMLSettings) -> None:
        super().__init__()
        self.batch_loss = batch_loss
        self.is_logging = True  # the engine clears it on steps whose scalars nobody reads
        self._settings = settings
        self.inner_rates = InnerRates(
            adapted_parameters(batch_loss.model, settings.adapt), settings.step_rates, settings.learned_rates
        )
        self._has_warned = False

    def forward(self, episodes: Sequence[Episode]) -> dict[str, Tensor]:
        """'loss', whose backward can be called once, and scalars to log.

        Raises:
            UserError: the inner loss depends on no parameter that adapts, or has an operation that PyTorch cannot
                differentiate twice.
        """
        trained = {name: value for name, value in self.batch_loss.named_parameters() if value.requires_grad}
        rows = EmbeddingSubset.from_batches(
            self.batch_loss, self.batch_loss.model, [episode[part] for episode in episodes for part in PARTS]
        )
        if rows:
            trained[rows.name] = rows.gather()
            episodes = [episode | {part: rows.remap_ids(episode[part]) for part in PARTS} for episode in episodes]
        with rows.padding() if rows else nullcontext():
            outcomes, gradient = self._meta_gradient(episodes, trained)
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
        """The temperature, and the first inner step's rates by layer or parameter, where they are trained."""
        return self.batch_loss.learned() | {name: rate.item() for name, rate in self.inner_rates.scalars().items()}

    def _meta_gradient(
        self, episodes: Sequence[Episode], trained: Parameters
    ) -> tuple[list[dict[str, Tensor]], Gradients]:
        """Each episode's scalars, and the gradient of the sum of their losses."""
        start = {name: value.detach() for name, value in trained.items()}
        rates = [
            {MODEL + name: rate for name, rate in of_step.items() if MODEL + name in start}
            for of_step in self.inner_rates.by_step()
        ]
        outcomes, total = [], {}
        for episode in episodes:
            outcome, gradient = self._episode(episode, start, rates)
            outcomes.append(outcome)
            for name in list(gradient):  # one at a time, since together they are as large as the model
                total[name] = add(total.get(name), gradient.pop(name))
        return outcomes, total

    def _episode(
        self, episode: Episode, start: Parameters, rates: list[dict[str, float]]
    ) -> tuple[dict[str, Tensor], Gradients]:
        settings, inner = self._settings, {}

        def inner_loss(at: Parameters) -> Tensor:
            with nullcontext() if settings.inner_dropout else without_dropout(self.batch_loss):
                parts = self._losses(at, episode["support"], settings.inner_loss)
            inner.setdefault("pairs", parts.get("contrastive_pairs"))
            return parts["loss"]

        loop = InnerLoop(
            inner_loss,
            rates,
            second_order=not settings.first_order and torch.is_grad_enabled(),
            storage=settings.inner_storage,
            learns_rates=self.inner_rates.is_learned,
        )
        adapted = loop.adapt(start)
        scalars = {}
        if rates:
            self._check_reach(loop, rates[0], inner["pairs"])
            scalars["inner_loss_before"] = loop.first_loss
            if self.is_logging:
                # What is only logged draws its dropout aside, so that log_every does not change the weights.
                device = loop.first_loss.device
                with torch.no_grad(), torch.random.fork_rng([device] if device.type == "cuda" else []):
                    scalars["inner_loss_after"] = inner_loss(adapted)
        if not torch.is_grad_enabled():
            return {**self._losses(adapted, episode["query"], settings.outer_loss), **scalars}, {}
        parts, gradient = self._outer(adapted, episode["query"])
        del adapted
        gradient, by_rates = loop.pull_back(gradient)
        if self.inner_rates.is_learned:
            gradient[RATES] = self.inner_rates.gradient(
                [{name.removeprefix(MODEL): by_rate for name, by_rate in of_step.items()} for of_step in by_rates]
            )
        return {**parts, **scalars}, gradient

    def _outer(self, adapted: Parameters, query: dict[str, Tensor]) -> tuple[dict[str, Tensor], Gradients]:
        leaves = {name: value.detach().requires_grad_() for name, value in adapted.items()}
        parts = self._losses(leaves, query, self._settings.outer_loss)
        gradients = torch.autograd.grad(parts["loss"], list(leaves.values()), allow_unused=True)
        return {name: part.detach() for name, part in parts.items()}, dict(zip(leaves, gradients, strict=True))

    def _losses(self, parameters: Parameters, batch: dict[str, Tensor], choice: LossChoice) -> dict[str, Tensor]:
        return functional_call(self.batch_loss, parameters, (batch, choice))

    def _check_reach(self, loop: InnerLoop, rates: dict[str, float], pairs: Tensor | None) -> None:
        if not rates:
            raise UserError(
                f"trainer.adapt: found no trained parameter among those of {self._settings.adapt!r}, "
                "expected at least one"
            )
        has_negatives = pairs is None or pairs >= 2  # without any the contrastive loss is 0 and teaches nothing
        if not loop.reached and has_negatives:
            names = [name.removeprefix(MODEL) for name in rates]
            raise UserError(
                f"trainer.adapt: found {len(names)} parameters ({', '.join(names[:3])}, ...) that the inner loss "
                f"'{self._settings.inner_loss}' does not depend on, expected at least one that it does"
            )

    def _warn_unused_parameters(self, gradient: Gradients) -> None:
        """Says once which trained parameters neither loss reaches, such as a head that no loss uses."""
        if self._has_warned:
            return
        self._has_warned = True
        unreached = [name.removeprefix(MODEL) for name, own in gradient.items() if own is None]
        if unreached:
            logger.warning(
                "%d of the %d trained parameters get no gradient and stay as they are: %s",
                len(unreached),
                len(gradient),
                ", ".join(unreached),
            )


def adapted_parameters(model: PreTrainedModel, choice: AdaptChoice) -> list[str]:
    """Names of the model's parameters that the inner loop adapts, where they are trained at all.

    Raises:
        UserError: the choice is of none.
    """
    names = [name for name, _ in model.named_parameters()]
    if choice == "all":
        return names
    if isinstance(choice, str):
        encoder = [name for name in names if name.startswith(f"{model.base_model_prefix}.")]
        chosen = encoder if choice == "encoder" else [name for name in names if name not in set(encoder)]
        if not encoder or not chosen:
            raise UserError(
                f"trainer.adapt: found '{choice}' for a {type(model).__name__}, whose parameters' names do not tell "
                "encoder and heads apart (base_model_prefix), expected 'all' or name patterns"
            )
        return chosen
    for pattern in choice:
        if not matching(names, pattern):
            raise UserError(
                f"trainer.adapt: found '{pattern}', which matches no parameter of the model, expected a "
                f"pattern of names such as '{names[0]}', where * stands for any part"
            )
    return [name for name in names if any(matching([name], pattern) for pattern in choice)]


@contextmanager
def without_dropout(module: nn.Module) -> Iterator[None]:
    training = [own for own in module.modules() if own.training]
    for own in training:
        own.training = False
    try:
        yield
    finally:
        for own in training:
            own.training = True
