"""The interface of where pictures come from."""

from __future__ import annotations

from typing import Protocol

from PIL import Image


class PictureSource(Protocol):
    """Holds the pictures of a task's images; loader workers get a copy each."""

    def has(self, image_id: str) -> bool:
        """Tell whether there is a picture of an image, without reading it.

        Args:
            image_id: The image, as in `image_ids` of an example.

        Raises:
            UserError: The folder or copy that should hold it is not there.
        """

    def picture(self, image_id: str, least_side: int | None = None) -> Image.Image:
        """Read a picture.

        Args:
            image_id: The image, as in `image_ids` of an example.
            least_side: The number of pixels that the shorter side is needed with; a larger picture may come smaller
                than it is stored, if that makes reading faster. None: as it is stored.

        Returns:
            The picture in mode RGB, upright.

        Raises:
            UserError: There is no such picture, or it is damaged.
        """
