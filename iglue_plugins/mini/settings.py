"""The settings of the mini tasks in a recipe; this module imports neither PyTorch nor datasets."""

from __future__ import annotations

from pydantic import Field

from iglue_plugins.tasks.settings import RetrievalSettings, TaskSettings


class MiniSettings(TaskSettings):
    """The settings of any mini task."""

    shared_scenes: int = Field(
        1,
        ge=1,
        description="The number of examples that have the same scenes and texts of their own, as images have in IGLUE; "
        "the benchmark's tables are of 1.",
    )


class MiniRetrievalSettings(MiniSettings, RetrievalSettings):
    """The settings of the mini tasks that match scenes and captions."""
