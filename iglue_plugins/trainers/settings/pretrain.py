"""Settings of pre-training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from iglue_plugins.trainers.settings.base import (
    CONTRASTIVE,
    SAME_IMAGE_PAIRS,
    TEMPERATURE,
    ContrastiveLoss,
    SameImagePairs,
    TrainerSettings,
)

MatchingNegatives = Literal["similar", "random"]
PretrainLoss = Literal["contrastive", "masked_words", "matching"]


class PretrainSettings(TrainerSettings):
    """Settings of pre-training on captions in many languages."""

    batch_size: int = Field(64, ge=2, description="captioned images of a batch")
    language_shares: dict[str, float] = Field(description="how often each language is drawn, relative to the others")
    masked_share: float = Field(0.2, gt=0, lt=1, description="share of a caption's tokens that are masked")
    losses: tuple[PretrainLoss, ...] | None = Field(
        None, min_length=1, description="losses that are added up; null: all that the model can have"
    )
    contrastive: ContrastiveLoss = Field("infonce", description=CONTRASTIVE)
    temperature: float | None = Field(None, gt=0, description=TEMPERATURE)
    same_image_pairs: SameImagePairs = Field(
        "masked",
        description=f"{SAME_IMAGE_PAIRS}; a batch has an image once, so that here pairs share a text; unless "
        "'negatives', they are no wrong pairs of the matching loss either",
    )
    matching_negatives: MatchingNegatives = Field(
        "similar",
        description="the other image that the matching loss tells a caption's own from: 'similar', drawn by similarity "
        "in the contrastive space, or 'random', from which a fresh model learns sooner",
    )
    single_region_steps: int = Field(
        0, ge=0, description="number of first steps that see only images of a single region"
    )
