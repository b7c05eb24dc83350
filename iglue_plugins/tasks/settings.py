"""The settings of tasks in a recipe; this module imports neither PyTorch nor datasets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from iglue_plugins.tasks.config import IGLUEConfig, Shots

PairChoice = Literal["caption", "aligned", "all"]

IGLUE_HOME = "IGLUE_HOME"  # the environment variable that names the data where a recipe has no task.data_root


class TaskSettings(BaseModel):
    """The settings of any task; each kind of task adds others.

    A subclass may list, in its class attribute `fingerprint_exclude`, settings that do not change the trained weights.

    Attributes:
        split_settings: The settings that choose the examples of a split, by split. They do not count for a run that
            does not read the split.
        example_settings: The settings that choose the examples of all splits, and are in `Task.fingerprint` of these.
            They count by that alone, so that a run made before there was such a setting is that of its default.
    """

    model_config = ConfigDict(extra="forbid")
    split_settings: ClassVar[Mapping[str, frozenset[str]]] = {}
    example_settings: ClassVar[frozenset[str]] = frozenset()


def data_setting(settings: type[BaseModel]) -> str | None:
    """Return the setting that says where a task's data are, which `--data-root` gives on the command line.

    Args:
        settings: The task's settings.

    Returns:
        The name of the setting; None for a task that brings its own data.
    """
    return next((name for name in ("data_root", "data") if name in settings.model_fields), None)


class RetrievalSettings(TaskSettings):
    """The settings of image-text retrieval."""

    loss: Literal["cross_entropy", "triplet"] = Field(
        "cross_entropy",
        description="The loss over an example's four candidates. 'triplet', as for UC2, asks for a margin of 0.2 "
        "between the probabilities of the true pair and of each wrong candidate.",
    )
    hard_negatives: int = Field(
        1,
        ge=1,
        description="The number of most similar images from which the image of a hard wrong caption is drawn.",
    )
    hard_negatives_file: str | None = Field(
        None,
        description="VOLTA's hard_negative.pkl, which lists the similar images for training in the source language. "
        "Without it, and in other languages, they are found by their region features, or by tiny copies of the "
        "pictures where the model reads pixels.",
    )


class IGLUERetrievalSettings(RetrievalSettings):
    """The settings of retrieval on Flickr30k.

    Source:
        VOLTA, which draws hard wrong captions from 99 images.
    """

    hard_negatives: int = Field(
        99,
        ge=1,
        description="The number of most similar images from which the image of a hard wrong caption is drawn; the "
        "default is VOLTA's.",
    )


class IGLUESettings(TaskSettings):
    """The settings of any IGLUE task: where its data are, and which of them are used."""

    # A run's fingerprint does not depend on where the data are, but on their content, by the task's fingerprint.
    fingerprint_exclude: ClassVar[frozenset[str]] = frozenset(
        {"data_root", "regions", "pictures", "hub", "volta_tasks", "hard_negatives_file"}
    )
    split_settings: ClassVar[Mapping[str, frozenset[str]]] = {"auxiliary": frozenset({"auxiliary", "auxiliary_shots"})}

    data_root: Path | None = Field(
        None,
        description="A folder with datasets/ as in the IGLUE repository, or that folder itself; default: the "
        "environment variable IGLUE_HOME.",
    )
    regions: Path | None = Field(None, description="The folder of region stores; default: regions/ below data_root.")
    pictures: Path | None = Field(
        None,
        description="The folder of the images' pictures, <store>/<image>.jpg, .png or .webp, for models that read "
        "pixels.",
    )
    hub: bool | str = Field(
        False,
        description="Whether to take the test set and its images from the copy on the model hub: at the pinned "
        "revision (true), at another revision, or from a local folder with the same layout.",
    )
    max_boxes: int | None = Field(
        None, ge=1, description="The number of regions kept of an image; default: the task's."
    )
    volta_tasks: Path | None = Field(
        None, description="A task file of VOLTA, whose text length and number of regions replace the task's."
    )

    if TYPE_CHECKING:  # `iglue_settings` adds these fields, with the choices that the task has
        auxiliary: Literal["machine_translated", "few_shot"]
        auxiliary_shots: Shots


def _literal(choices: tuple[Shots, ...]) -> Any:
    """Make a Literal type of choices that are known at run time only, so that it has no static type."""
    return Literal[choices]


def iglue_settings(config: IGLUEConfig, base: type[TaskSettings] = TaskSettings) -> type[TaskSettings]:
    """Make the settings class of an IGLUE task.

    Args:
        config: The facts about the task, which list the auxiliary data that it has.
        base: The settings of the kind of task.

    Returns:
        A subclass of `IGLUESettings` and of `base`, with fields that choose the auxiliary data.
    """
    bases: tuple[type[TaskSettings], ...] = (IGLUESettings,) if base is TaskSettings else (IGLUESettings, base)
    auxiliary = Field(
        config.auxiliary[0],
        description="The training data in auxiliary languages: the machine-translated English dev set, or the few-shot "
        "training examples.",
    )
    auxiliary_shots = Field(config.auxiliary_shots, description="The number of shots of `few_shot` data.")
    return create_model(
        "Settings",
        __base__=bases,
        auxiliary=(_literal(config.auxiliary), auxiliary),
        auxiliary_shots=(_literal(config.shots("few_shot")), auxiliary_shots),
    )
