"""What a recipe has to know of a trainer; this module imports neither PyTorch nor transformers."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel


class TrainerSpec:
    """What a recipe has to know of a trainer.

    Attributes:
        Settings: The trainer's settings in a recipe.
        starts_from: The weights that training starts from unless a recipe says otherwise: the model's own, or those of
            the same recipe with trainer `finetune`.
        trains_on: The languages that the training examples are in: the source language, the auxiliary languages, or
            each target language in turn.
        implementation: Where the trainer's class is, as "module:Class"; a trainer that is no specification has none.
        limit: The number of optimizer steps, and of examples that a validation scores, at which a smoke test stops;
            None for none.
    """

    Settings: ClassVar[type[BaseModel]]
    starts_from: ClassVar[Literal["model", "finetune"]] = "model"
    trains_on: ClassVar[Literal["source", "auxiliary", "target"]] = "source"
    implementation: ClassVar[str]
    limit: int | None = None
