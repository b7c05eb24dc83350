"""The settings of tasks on a user's own data; this module imports neither PyTorch nor datasets."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from iglue_plugins.tasks.settings import RetrievalSettings, TaskSettings


class CustomSettings(TaskSettings):
    """The settings of a task on a user's own data."""

    # A run's fingerprint does not depend on where the data are, but on their content, by the task's fingerprint.
    fingerprint_exclude: ClassVar[frozenset[str]] = frozenset({"data", "hard_negatives_file"})

    data: Path | None = Field(
        None, description="The folder with the data and task.yaml, which describes them, or a YAML file like it."
    )


class CustomRetrievalSettings(CustomSettings, RetrievalSettings):
    """The settings of image-text retrieval on a user's own data."""

    pool: int | None = Field(
        None,
        ge=2,
        description="The number of images among which a caption is ranked. The images of a split are divided, in its "
        "order, into groups of this size, and captions are scored with the images of their own group alone: a model "
        "that reads text and image together then takes as many times less time as there are groups. Default: all "
        "images.",
    )
