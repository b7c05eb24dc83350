"""Small copies of pictures inside a page."""

from __future__ import annotations

import base64
import io

from PIL import Image

from iglue_plugins.data.pictures.source import PictureSource
from iglue_plugins.utils.errors import UserError

LONGER_SIDE = 320  # pixels
QUALITY = 70  # of WebP, up to 100


class Thumbnails:
    """Makes small copies of a task's pictures, each once.

    Args:
        source: The pictures; None if there are none.
        lack: Why there are none, a sentence.

    Attributes:
        lacks: Sentences on pictures that are not there.
    """

    def __init__(self, source: PictureSource | None, lack: str = "") -> None:
        self._source = source
        self._uris: dict[str, str | None] = {}
        self.lacks: list[str] = [lack] if lack else []

    def uri(self, image_id: str) -> str | None:
        """Return a picture as a data URI.

        Args:
            image_id: The image, as in `image_ids` of an example.

        Returns:
            The URI of a WebP; None if there is no such picture, or it cannot be read, which `lacks` says once.
        """
        if image_id not in self._uris:
            self._uris[image_id] = self._make(image_id)
        return self._uris[image_id]

    def _make(self, image_id: str) -> str | None:
        if self._source is None:
            return None
        try:
            picture = self._source.picture(image_id, LONGER_SIDE) if self._source.has(image_id) else None
        except UserError as error:
            if not self.lacks:
                self.lacks.append(str(error))
            return None
        if picture is None:
            return None
        small = picture.copy()
        small.thumbnail((LONGER_SIDE, LONGER_SIDE), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.save(buffer, "WEBP", quality=QUALITY)
        return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
