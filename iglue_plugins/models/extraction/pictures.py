"""The pictures that a store is made of: those of a folder, or those of a task's images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from PIL import Image

from iglue_plugins.data.conversion.images import image_id
from iglue_plugins.data.pictures.folder import group_by_stem
from iglue_plugins.data.pictures.reading import SUFFIXES, read_picture
from iglue_plugins.data.pictures.source import PictureSource
from iglue_plugins.data.stores.format import SourceIdentity
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.text import printable


class StorePictures(Protocol):
    """Holds the pictures of a store's images, always in the same order; processes that read them get a copy each."""

    @property
    def identity(self) -> SourceIdentity:
        """What tells these pictures from others."""

    @property
    def ids(self) -> Sequence[str]:
        """The images' ids in the store."""

    def place(self, number: int) -> str:
        """Say where a picture is, for errors.

        Args:
            number: The position of the picture.
        """

    def picture(self, number: int) -> Image.Image:
        """Read a picture.

        Args:
            number: The position of the picture.

        Returns:
            The picture in mode RGB, upright.

        Raises:
            PictureError: The picture is damaged.
            UserError: The picture cannot be read at all.
        """


class FolderPictures:
    """The pictures of a folder; `<name>.jpg` gives the image `<name>`. Sub folders are not looked into.

    Args:
        folder: The folder.

    Attributes:
        identity: What tells these pictures from others.
        ids: The images' ids in the store.

    Raises:
        UserError: The folder cannot be read or has no pictures, two pictures would have one id, or a name is not UTF-8.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names = list_pictures(folder)
        self.ids = [image_id(name, str(folder / name)) for name in self._names]
        self.identity = SourceIdentity(name=printable(folder.resolve().name), size=len(self._names))

    def place(self, number: int) -> str:
        """Return the path of a picture's file; see `StorePictures.place`."""
        return str(self._folder / self._names[number])

    def picture(self, number: int) -> Image.Image:
        """Read a picture; see `StorePictures.picture`."""
        return read_picture(self._folder / self._names[number])


class SourcePictures:
    """The pictures of some images of a task.

    Args:
        source: Where the pictures are.
        image_ids: The images.
        prefix: What the ids have before the id in the store, such as `flickr30k/`.
        name: What the store's metadata call the pictures.

    Attributes:
        identity: What tells these pictures from others.
        ids: The images' ids in the store.
    """

    def __init__(self, source: PictureSource, image_ids: Sequence[str], prefix: str, name: str) -> None:
        self._source = source
        self._image_ids = image_ids
        self.ids = [image_id.removeprefix(prefix) for image_id in image_ids]
        self.identity = SourceIdentity(name=name, size=len(image_ids))

    def place(self, number: int) -> str:
        """Return the id of a picture's image; see `StorePictures.place`."""
        return f"image '{printable(self._image_ids[number])}'"

    def picture(self, number: int) -> Image.Image:
        """Read a picture; see `StorePictures.picture`."""
        return self._source.picture(self._image_ids[number])


def list_pictures(folder: Path) -> list[str]:
    """List the files of a folder that are pictures by their names; sub folders are left out.

    Args:
        folder: The folder.

    Returns:
        The files' names, in order.

    Raises:
        UserError: The folder cannot be read or has no pictures, or two pictures would have one id.
    """
    try:
        names = [entry.name for entry in os.scandir(folder) if not entry.is_dir()]
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror}); name the folder with the pictures") from error
    stems = group_by_stem(names, SUFFIXES)
    if not stems:
        raise UserError(
            f"{folder}: holds no pictures ({', '.join(SUFFIXES)}); name the folder that holds them itself, since its "
            "sub folders are not looked into"
        )
    for stem, files in stems.items():
        if len(files) > 1:
            raise UserError(f"{folder}: {' and '.join(files)} are both of image '{stem}'; keep or rename one of them")
    return [file for files in stems.values() for file in files]
