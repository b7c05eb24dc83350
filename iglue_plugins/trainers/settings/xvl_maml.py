"""Settings of XVL-MAML."""

from __future__ import annotations

import operator
from typing import ClassVar, Literal

from pydantic import Field, PositiveFloat, model_validator

from iglue_plugins.meta.choices import USED_BY, Algorithm, InnerStorage
from iglue_plugins.trainers.settings.base import ContrastiveSettings, LossChoice, TrainerSettings

LearnedRates = Literal["none", "layer", "parameter"]
AdaptChoice = Literal["all", "encoder", "heads", "anil", "boil"] | tuple[str, ...]


class XVLMAMLSettings(ContrastiveSettings):
    """Settings of XVL-MAML: episodes, inner loop and outer loop.

    Source: the XVL-MAML paper (arXiv 2305.14843); docs/algorithms.md names the papers of the algorithms.
    """

    fingerprint_exclude: ClassVar[frozenset[str]] = TrainerSettings.fingerprint_exclude | {"inner_storage"}

    support_size: int = Field(16, ge=1, description="examples of an episode that the inner loop adapts on")
    query_size: int = Field(16, ge=1, description="examples of an episode that the outer loop learns from")
    inner_lr: float = Field(1e-3, ge=0, description="learning rate of the inner loop; 0: no inner step (a control)")
    inner_steps: int = Field(1, ge=1, description="number of gradient steps of the inner loop")
    inner_lr_factors: tuple[PositiveFloat, ...] | None = Field(
        None, description="factors of inner_lr, one for each inner step; null: 1 for all"
    )
    learned_rates: LearnedRates = Field(
        "none", description="trained factors of inner_lr: one for each 'layer' or each 'parameter' (Meta-SGD)"
    )
    adapt: AdaptChoice = Field(
        "all",
        description="parameters that the inner loop adapts: 'all', 'heads' (contrastive projections and task head; "
        "also called 'anil'), 'encoder' (all but these; 'boil'), or name patterns, such as encoder.layers.1?.*",
    )
    context_size: int = Field(
        0,
        ge=0,
        exclude_if=operator.not_,  # so that runs of before there was this setting are runs of the same recipe
        description="number of context parameters, which start each episode at zero and which alone the inner loop "
        "adapts (CAVIA); 0: none",
    )
    inner_dropout: bool = Field(True, description="whether the inner loop has dropout, as the outer loop has")
    inner_storage: InnerStorage = Field(
        "graphs",
        description="what is kept of inner steps for second order: 'graphs' (fastest), 'parameters' (graphs are "
        "recomputed) or 'start' (steps are recomputed too; memory does not grow with inner_steps)",
    )
    inner_loss: LossChoice = Field("contrastive", description="loss of the inner loop, on the support batch")
    outer_loss: LossChoice = Field("both", description="loss of the outer loop, on the query batch")
    supervised: bool = Field(
        True, description="false: use no labels of auxiliary languages; outer_loss is 'contrastive'"
    )
    algorithm: Algorithm = Field(
        "maml",
        description="'maml' (exact), 'fomaml' (inner gradients are constants), 'reptile' (where the steps lead, the "
        "query batch's among them) or 'imaml' (implicit gradient at a minimum near the start)",
    )
    first_order: bool = Field(
        False, exclude=True, description="what recipes up to version 0.1 call algorithm 'fomaml' (true) or 'maml'"
    )
    second_order_after: int = Field(
        0, ge=0, description="steps for which 'maml' is of first order, before it is of second (MAML++)"
    )
    multi_step: int = Field(
        0,
        ge=0,
        description="steps over which the outer loss counts after every inner step, ever less before the last (MAML++)",
    )
    proximal: float = Field(1.0, gt=0, description="pull of 'imaml' back to where the inner loop starts")
    cg_iterations: int = Field(5, ge=1, description="largest number of conjugate-gradient iterations of 'imaml'")
    cg_tolerance: float = Field(
        1e-3, ge=0, lt=1, description="residual of 'imaml', as a share of the outer gradient, that ends them earlier"
    )
    languages_per_step: int | None = Field(
        None,
        ge=1,
        description="episodes of a meta-step, whose languages are drawn anew each time; null: one of each language",
    )
    repeat_languages: bool = Field(False, description="draw a step's languages with replacement")
    disjoint_images: bool = Field(False, description="keep the images of a support batch out of its query batch")
    distinct_images: bool = Field(
        False, description="draw batches in which no two examples share an image, or the text that L_CL pairs with it"
    )

    # Not a validator before the fields': after one pydantic takes no list of a recipe for a tuple.
    @model_validator(mode="after")
    def _read_former_names(self) -> XVLMAMLSettings:
        if self.adapt in ("anil", "boil"):
            self.adapt = "heads" if self.adapt == "anil" else "encoder"
        if "first_order" in self.model_fields_set:
            former: Algorithm = "fomaml" if self.first_order else "maml"
            if "algorithm" in self.model_fields_set and self.algorithm != former:
                raise ValueError(
                    f"first_order is {str(self.first_order).lower()}, but algorithm is '{self.algorithm}'; remove "
                    "first_order, whose place algorithm has taken"
                )
            self.algorithm = former
        return self

    @model_validator(mode="after")
    def _unsupervised_outer_loss(self) -> XVLMAMLSettings:
        if not self.supervised and "outer_loss" not in self.model_fields_set:
            self.outer_loss = "contrastive"
        return self

    @model_validator(mode="after")
    def _check_combination(self) -> XVLMAMLSettings:
        losses = {"inner_loss": self.inner_loss, "outer_loss": self.outer_loss}
        if not self.supervised:
            for name, loss in losses.items():
                if loss != "contrastive":
                    raise ValueError(
                        f"{name} is '{loss}', which needs labels; set it to 'contrastive', or supervised to true"
                    )
            if self.pairs == "aligned":
                raise ValueError(
                    "pairs is 'aligned', which needs labels; set it to 'caption' or 'all', or supervised to true"
                )
        for name, size in (("inner_loss", "support_size"), ("outer_loss", "query_size")):
            if losses[name] != "task" and getattr(self, size) < 2:
                raise ValueError(
                    f"{size} is {getattr(self, size)}, but the contrastive loss takes its negatives from the batch; "
                    "raise it to 2 or more"
                )
        return self

    @model_validator(mode="after")
    def _check_inner_loop(self) -> XVLMAMLSettings:
        if self.inner_lr_factors is not None and len(self.inner_lr_factors) != self.inner_steps:
            raise ValueError(
                f"inner_lr_factors has {len(self.inner_lr_factors)} numbers, but there are {self.inner_steps} "
                "inner_steps; give one for each"
            )
        if self.learned_rates != "none" and self.inner_lr == 0:
            raise ValueError(
                "inner_lr is 0, and learned_rates are factors of it; raise it, or set learned_rates to none"
            )
        self._check_algorithm()
        if self.adapt == ():
            raise ValueError("adapt is an empty list; give name patterns, or set inner_lr to 0 for no inner step")
        self._check_context()
        contributing = {self.outer_loss}
        if self.inner_lr > 0 and self.algorithm != "fomaml":
            contributing.add(self.inner_loss)  # the adapted weights depend on the temperature of the inner loss
        self.check_temperature(*contributing)
        return self

    def _check_algorithm(self) -> None:
        for name, algorithms in USED_BY.items():
            value = getattr(self, name)
            if self.algorithm not in algorithms and value != type(self).model_fields[name].default:
                raise ValueError(
                    f"{name} is {value}, but algorithm is '{self.algorithm}', which does not use it; remove it, or set "
                    f"algorithm to {' or '.join(algorithms)}"
                )

    def _check_context(self) -> None:
        if not self.context_size:
            return
        if self.inner_lr == 0:
            raise ValueError(
                f"context_size is {self.context_size}, but inner_lr is 0, and then nothing moves the context; raise "
                "inner_lr, or set context_size to 0"
            )
        if self.adapt != "all":
            chosen = self.adapt if isinstance(self.adapt, str) else ", ".join(self.adapt)
            raise ValueError(
                f"adapt is {chosen}, but context_size is {self.context_size}, and then the context alone adapts; "
                "remove adapt, or set context_size to 0"
            )

    @property
    def step_rates(self) -> list[float]:
        """The learning rate of each inner step; the list is empty where `inner_lr` is 0."""
        factors = self.inner_lr_factors or (1.0,) * self.inner_steps
        return [self.inner_lr * factor for factor in factors] if self.inner_lr > 0 else []
