"""Settings that every trainer has, and those of trainers with a contrastive loss."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from iglue_plugins.tasks.settings import PairChoice
from iglue_plugins.trainers.settings.choices import Optimizer, Schedule, Tracker

Precision = Literal["auto", "float32", "bfloat16"]
Rate = Annotated[float, Field(ge=0, lt=1)]
Scalar = bool | int | float | str
LossChoice = Literal["task", "contrastive", "both"]
SameImagePairs = Literal["masked", "positives", "negatives"]
ContrastiveLoss = Literal["infonce", "sigmoid"]

DEFAULT_TEMPERATURE = 0.07  # of a model that brings no scale of its own

TEMPERATURE = "divides the cosine similarities in L_CL; null: the model's own scale, or 0.07 where it has none"
CONTRASTIVE = "L_CL: symmetric InfoNCE, or the sigmoid loss of SigLIP with the model's bias"

SAME_IMAGE_PAIRS = (
    "what L_CL takes the other texts of a pair's image, and the other images of its text, for: 'masked' leaves them "
    "out, 'positives' are right answers too, 'negatives' are wrong ones (as up to version 0.1)"
)


class TrainerSettings(BaseModel):
    """Settings that every trainer has: those of the optimizer and of the training loop."""

    model_config = ConfigDict(extra="forbid")
    fingerprint_exclude: ClassVar[frozenset[str]] = frozenset(  # no effect on the weights
        {"save_every", "save_minutes", "log_every", "report_to", "workers"}
    )

    steps: int = Field(1000, ge=1, description="number of optimizer steps")
    learning_rate: float = Field(2e-5, gt=0, description="peak learning rate (of the outer loop, for MAML)")
    warmup: float = Field(0.1, ge=0, le=1, description="share of the steps over which the learning rate rises")
    lr_scheduler: Schedule = Field("linear", description="schedule of the learning rate, as transformers names it")
    lr_scheduler_kwargs: dict[str, Scalar] = Field(
        {}, description="arguments of the schedule, such as min_lr_rate of cosine_with_min_lr"
    )
    optim: Optimizer = Field("adamw_torch_fused", description="optimizer, as transformers names it")
    optim_args: dict[str, bool | int | float] = Field(
        {}, description="arguments of the optimizer, such as momentum of sgd"
    )
    adam_betas: tuple[Rate, Rate] = Field((0.9, 0.999), description="decay rates of the moments, where it is an Adam")
    adam_epsilon: float = Field(1e-6, gt=0, description="what Adam adds to the root of the second moment")
    weight_decay: float = Field(1e-4, ge=0, description="weight decay of matrices; biases and LayerNorms have none")
    clip_norm: float = Field(1.0, ge=0, description="largest norm of the gradient; 0 turns clipping off")
    accumulation: int = Field(1, ge=1, description="batches or episodes whose gradients are averaged for one step")
    precision: Precision = Field(
        "auto",
        description="precision of training; auto: bfloat16 where the GPU, or without one the processor, multiplies it "
        "itself",
    )
    examples: int | None = Field(None, ge=1, description="training examples of each language that are used; null: all")
    validate_every: int | Literal["epoch"] | None = Field(
        None, description="steps between validations, whose best weights are kept; null: keep the last weights"
    )
    save_every: int | None = Field(
        None, ge=1, description="steps between checkpoints from which training resumes; null: by time"
    )
    save_minutes: float = Field(
        5, gt=0, description="least minutes between checkpoints by time, which take at most 5 % of the training's time"
    )
    log_every: int = Field(10, ge=1, description="steps between logged losses")
    workers: Annotated[int, Field(ge=0)] | Literal["auto"] = Field(
        "auto",
        description="processes that make batches ahead; auto: some for pixels, none for regions (with a GPU, a thread)",
    )
    report_to: tuple[Tracker, ...] = Field(
        ("tensorboard",), description="trackers that losses are logged to, as transformers names them"
    )

    @model_validator(mode="after")
    def _check_schedule(self) -> TrainerSettings:
        if self.lr_scheduler in ("constant", "constant_with_warmup") and self.lr_scheduler_kwargs:
            raise ValueError(
                f"lr_scheduler_kwargs has {', '.join(self.lr_scheduler_kwargs)}, but the schedule "
                f"'{self.lr_scheduler}' takes no arguments; remove them or choose another lr_scheduler"
            )
        return self


class ContrastiveSettings(TrainerSettings):
    """Settings of trainers that can use the contrastive loss, called L_CL.

    Source: the XVL-MAML paper (arXiv 2305.14843).
    """

    contrastive_weight: float = Field(0.1, ge=0, description="weight of L_CL where it is added to the task's loss")
    contrastive: ContrastiveLoss = Field("infonce", description=CONTRASTIVE)
    temperature: float | None = Field(None, gt=0, description=TEMPERATURE)
    learned_temperature: bool = Field(False, description="train the temperature too, starting from this value")
    pairs: PairChoice | None = Field(None, description="image-text pairs of L_CL; null: as the task chooses")
    same_image_pairs: SameImagePairs = Field("masked", description=SAME_IMAGE_PAIRS)
    joint_pass: bool = Field(False, description="take L_CL's text and image vectors from one pass over text and image")

    def check_temperature(self, *losses: LossChoice) -> None:
        """Check that some loss trains a learned temperature.

        Args:
            losses: The losses of which the trainer takes gradients.

        Raises:
            ValueError: `learned_temperature` is set, and none of the losses is contrastive.
        """
        if self.learned_temperature and set(losses) == {"task"}:
            raise ValueError("learned_temperature is set, but no loss is contrastive; unset it or choose another loss")
