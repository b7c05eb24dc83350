"""The scenes of a mini task: the examples that are made of them, their pictures and their region features."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from PIL import Image
from typing_extensions import override

from iglue_plugins.data.regions import InMemoryRegions
from iglue_plugins.mini import world
from iglue_plugins.mini.feature_cache import Regions
from iglue_plugins.mini.texts import TextByLanguage
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.text import printable

MAX_OBJECTS = 4  # of a scene, one in each quadrant


class SceneExample(NamedTuple):
    """An example of a mini task.

    Attributes:
        scenes: Its scenes, one for each image.
        text: Its text in each language.
        label: Its label.
    """

    scenes: list[world.Scene]
    text: TextByLanguage
    label: str


class ScenePictures:
    """Draws the scenes of a mini task.

    Args:
        task: The task's name, for errors.
        find: Finds a scene by its id; None if the task has no such scene.
    """

    def __init__(self, task: str, find: Callable[[str], world.Scene | None]) -> None:
        self._task = task
        self._find = find

    def has(self, image_id: str) -> bool:
        """Tell whether there is a scene with an id."""
        return self._find(image_id) is not None

    def picture(self, image_id: str, least_side: int | None = None) -> Image.Image:
        """Draw a scene as an RGB picture of 128 x 128 pixels; see `PictureSource.picture`."""
        scene = self._find(image_id)
        if scene is None:
            raise no_scene_error(self._task, image_id)
        return world.render(scene)


class SceneRegions(InMemoryRegions):
    """Keeps the region features of a mini task's scenes; those of a split are made when one of its scenes is asked for.

    Args:
        task: The task's name, for errors.
        split_of: Makes the regions of all scenes of the split that a scene is of, by id; none for an id of no scene.
    """

    def __init__(self, task: str, split_of: Callable[[str], dict[str, Regions]]) -> None:
        super().__init__(world.FEATURE_SIZE, MAX_OBJECTS)
        self._task = task
        self._split_of = split_of

    @override
    def index(self, image_ids: Iterable[str]) -> np.ndarray:
        ids = list(image_ids)
        for image_id in ids:
            if image_id not in self:
                self.add(self._split_of(image_id), world.CANVAS, world.CANVAS)
            if image_id not in self:
                raise no_scene_error(self._task, image_id)
        return super().index(ids)


def no_scene_error(task: str, image_id: str) -> UserError:
    """Make the error for an id that is of none of a task's scenes."""
    return UserError(f"task {task} has no scene '{printable(image_id)}'; name one of its examples' image_ids")
