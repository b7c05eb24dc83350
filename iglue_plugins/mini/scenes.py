"""The scenes of a mini task: the examples that are made of them, and their pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from PIL import Image

from iglue_plugins.mini import world
from iglue_plugins.mini.texts import TextByLanguage
from iglue_plugins.utils.errors import UserError


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
            raise UserError(f"task {self._task} has no scene '{image_id}'; name one of its examples' image_ids")
        return world.render(scene)
