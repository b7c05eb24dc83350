"""The settings of tasks in a recipe; this module imports neither PyTorch nor datasets."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from iglue_plugins.tasks.config import IGLUEConfig

PairChoice = Literal["caption", "aligned", "all"]

IGLUE_HOME = "IGLUE_HOME"  # the environment variable that stands in for data_root


class TaskSettings(BaseModel):
    """Settings of a task; each task adds its own.

    A class may name settings that do not change what is trained in `fingerprint_exclude`.
    """

    model_config = ConfigDict(extra="forbid")


class RetrievalSettings(TaskSettings):
    """Settings of image-text retrieval."""

    loss: Literal["cross_entropy", "triplet"] = Field(
        "cross_entropy",
        description="over an example's four candidates; triplet, as for UC2: a margin of 0.2 between the probabilities "
        "of the true pair and of each wrong one",
    )
    hard_negatives: int = Field(
        1,
        ge=1,
        description="a hard wrong caption is of one of so many images, those most similar to the example's image",
    )
    hard_negatives_file: str | None = Field(
        None,
        description="VOLTA's hard_negative.pkl, which names those images for training in the source language; for "
        "examples that are not in it they are found by their features",
    )


class IGLUERetrievalSettings(RetrievalSettings):
    """Settings of retrieval on Flickr30k, where VOLTA draws hard wrong captions from 99 images."""

    hard_negatives: int = Field(99, ge=1, description="as in VOLTA; a hard wrong caption is of one of so many images")


class IGLUESettings(TaskSettings):
    """Where the data of an IGLUE task are, and what of them is used."""

    # The place of the data does not count in a run's fingerprint; their content does, by the task's fingerprint.
    fingerprint_exclude: ClassVar[frozenset[str]] = frozenset(
        {"data_root", "regions", "hub", "volta_tasks", "hard_negatives_file"}
    )

    data_root: Path | None = Field(
        None,
        description="a folder with datasets/ as in the IGLUE repository, or that folder itself; default: the "
        "environment variable IGLUE_HOME",
    )
    regions: Path | None = Field(None, description="the folder of region stores; default: regions/ below data_root")
    hub: bool | str = Field(
        False,
        description="take the test set and its images from the copy on the model hub: at the pinned revision (true), "
        "at another one, or from a local folder with the same layout",
    )
    max_boxes: int | None = Field(None, ge=1, description="regions kept of an image; default: the task's")
    volta_tasks: Path | None = Field(
        None, description="a task file of VOLTA, whose text length and number of regions replace the task's"
    )


def iglue_settings(config: IGLUEConfig, base: type[TaskSettings] = TaskSettings) -> type[IGLUESettings]:
    """Make the settings class of an IGLUE task.

    Args:
        config: The facts about the task, which list the auxiliary data that it has.
        base: The settings of the kind of task.

    Returns:
        The settings of all IGLUE tasks and of the kind, and the choice of auxiliary data.
    """
    every_shots = config.shots("few_shot")
    return create_model(
        "Settings",
        __base__=(IGLUESettings,) if base is TaskSettings else (IGLUESettings, base),
        auxiliary=(
            Literal[config.auxiliary],
            Field(
                config.auxiliary[0],
                description="training data in auxiliary languages: the machine-translated English dev set, or the "
                "few-shot training examples",
            ),
        ),
        auxiliary_shots=(Literal[every_shots], Field(config.auxiliary_shots, description="how many of few_shot")),
    )
