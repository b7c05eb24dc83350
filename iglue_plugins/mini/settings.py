"""The settings of the mini tasks in a recipe; this module imports neither PyTorch nor datasets."""

from __future__ import annotations

from typing import ClassVar

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
    held_out: int = Field(
        0,
        ge=0,
        le=60,
        description="The number of the benchmark's 120 concepts that only the split unseen has. The pre-trained "
        "encoders know them, but the task's training has neither their names nor their pictures. 0: the split unseen "
        "has 24 concepts of its own, which the encoders do not know either.",
    )
    example_settings: ClassVar[frozenset[str]] = frozenset({"held_out"})


class MiniRetrievalSettings(MiniSettings, RetrievalSettings):
    """The settings of the mini tasks that match scenes and captions."""
