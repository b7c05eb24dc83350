"""Settings of adaptation at test time."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from iglue_plugins.tasks.settings import PairChoice
from iglue_plugins.trainers.settings.base import (
    CONTRASTIVE,
    SAME_IMAGE_PAIRS,
    TEMPERATURE,
    ContrastiveLoss,
    SameImagePairs,
)


class ContrastiveAdaptationSettings(BaseModel):
    """Settings of the contrastive steps that adapt a model to each target language before it is tested."""

    model_config = ConfigDict(extra="forbid")

    inner_lr: float = Field(1e-3, gt=0, description="learning rate of a step: theta - inner_lr * gradient")
    inner_steps: int = Field(1, ge=1, description="number of gradient steps")
    support_size: int = Field(32, ge=2, description="image-text pairs of a step")
    split: str = Field("test", description="split whose images and texts are used, without their labels")
    shots: int | str | None = Field(
        None, description="number of shots of a few-shot split; null: all examples of the split"
    )
    contrastive: ContrastiveLoss = Field("infonce", description=CONTRASTIVE)
    temperature: float | None = Field(None, gt=0, description=TEMPERATURE)
    pairs: PairChoice = Field("all", description="image-text pairs of L_CL; 'aligned' needs labels and is refused")
    same_image_pairs: SameImagePairs = Field("masked", description=SAME_IMAGE_PAIRS)
    joint_pass: bool = Field(False, description="take L_CL's text and image vectors from one pass over text and image")
