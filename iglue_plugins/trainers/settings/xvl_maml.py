"""Settings of XVL-MAML."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveFloat, model_validator

from iglue_plugins.trainers.settings.base import ContrastiveSettings, LossChoice, TrainerSettings

LearnedRates = Literal["none", "layer", "parameter"]
InnerStorage = Literal["graphs", "parameters", "start"]
AdaptChoice = Literal["all", "encoder", "heads"] | tuple[str, ...]


class XVLMAMLSettings(ContrastiveSettings):
    fingerprint_exclude: ClassVar[frozenset[str]] = TrainerSettings.fingerprint_exclude | {"inner_storage"}

    support_size: int = Field(16, ge=1, description="examples of an episode that the inner loop adapts on")
    query_size: int = Field(16, ge=1, description="examples of an episode that the outer loop learns from")
    inner_lr: float = Field(1e-3, ge=0, description="learning rate of the inner loop; 0: no inner step (a control)")
    inner_steps: int = Field(1, ge=1, description="gradient steps of the inner loop")
    inner_lr_factors: tuple[PositiveFloat, ...] | None = Field(
        None, description="of inner_lr, one for each inner step; default: 1 for all"
    )
    learned_rates: LearnedRates = Field(
        "none", description="factors of inner_lr that are trained: one for each 'layer' or 'parameter' (Meta-SGD)"
    )
    adapt: AdaptChoice = Field(
        "all",
        description="parameters that the inner loop adapts: 'all', 'encoder', 'heads' (contrastive projections "
        "and task head: ANIL), or name patterns, such as encoder.layers.1?.*",
    )
    inner_dropout: bool = Field(True, description="dropout in the inner loop, as in the outer one")
    inner_storage: InnerStorage = Field(
        "graphs",
        description="kept of inner steps for second order: 'graphs' (fastest), 'parameters' (graphs "
        "are computed again) or 'start' (steps too; memory does not grow with inner_steps)",
    )
    inner_loss: LossChoice = Field("contrastive", description="what the inner loop minimises on the support batch")
    outer_loss: LossChoice = Field("both", description="what the outer loop minimises on the query batch")
    supervised: bool = Field(True, description="false: no labels of the auxiliary languages, outer_loss 'contrastive'")
    first_order: bool = Field(False, description="true: inner gradients count as constants (FOMAML)")
    languages_per_step: int | None = Field(
        None, ge=1, description="episodes of a meta-step, of languages drawn anew each time; default: one of each"
    )
    repeat_languages: bool = Field(False, description="draw a step's languages with replacement")
    disjoint_images: bool = Field(False, description="no image of a support batch is in its query batch")

    @model_validator(mode="before")
    @classmethod
    def _unsupervised_outer_loss(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("supervised") is False:
            return {"outer_loss": "contrastive", **values}
        return values

    @model_validator(mode="after")
    def _check_combination(self) -> XVLMAMLSettings:
        losses = {"inner_loss": self.inner_loss, "outer_loss": self.outer_loss}
        if not self.supervised:
            for name, loss in losses.items():
                if loss != "contrastive":
                    raise ValueError(f"{name} is '{loss}', expected 'contrastive' with supervised: false")
            if self.pairs == "aligned":
                raise ValueError(
                    "pairs is 'aligned', which needs labels, expected 'caption' or 'all' with supervised: false"
                )
        for name, size in (("inner_loss", "support_size"), ("outer_loss", "query_size")):
            if losses[name] != "task" and getattr(self, size) < 2:
                raise ValueError(
                    f"{size} is {getattr(self, size)}, expected at least 2: the contrastive loss takes "
                    "its negatives from the batch"
                )
        return self

    @model_validator(mode="after")
    def _check_inner_loop(self) -> XVLMAMLSettings:
        if self.inner_lr_factors is not None and len(self.inner_lr_factors) != self.inner_steps:
            raise ValueError(
                f"inner_lr_factors has {len(self.inner_lr_factors)} numbers, expected one for each of the "
                f"{self.inner_steps} inner_steps"
            )
        if self.learned_rates != "none" and self.inner_lr == 0:
            raise ValueError("inner_lr is 0, expected more with learned_rates, which are factors of it")
        if self.adapt == ():
            raise ValueError("adapt is an empty list, expected name patterns; inner_lr: 0 takes no inner step")
        contributing = {self.outer_loss}
        if self.inner_lr > 0 and not self.first_order:
            contributing.add(self.inner_loss)  # the outer loss depends on its temperature by theta'
        self.check_temperature(*contributing)
        return self

    @property
    def step_rates(self) -> list[float]:
        """The learning rate of each inner step; none is taken at rate 0."""
        factors = self.inner_lr_factors or (1.0,) * self.inner_steps
        return [self.inner_lr * factor for factor in factors] if self.inner_lr > 0 else []
