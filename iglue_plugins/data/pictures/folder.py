"""A folder of pictures, as the pictures of a task's images."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from iglue_plugins.data.pictures.reading import read_picture
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.text import printable

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


class PictureFolder:
    """Finds the pictures of images in a folder; a `PictureSource`.

    The picture of image `flickr30k/1007129816` is the file `flickr30k/1007129816` with one of PICTURE_SUFFIXES, in
    small or capital letters, in the folder. An image's name may hold dots, and may already end in the file's suffix. An
    id without a store, `1007129816`, is a file in the folder itself.

    A store's folder is listed once, when one of its images is asked for. A pickled PictureFolder lists them anew.

    Args:
        folder: The folder of the stores' folders.

    Attributes:
        folder: As the argument.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._files: dict[str, dict[str, tuple[str, ...]]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return PictureFolder, (self.folder,)

    def has(self, image_id: str) -> bool:
        """Tell whether there is a picture of an image, without reading it.

        Args:
            image_id: The image, `<store>/<name>` or `<name>`.

        Raises:
            UserError: The store's folder is not there, the id leads out of the folder, or two files have the id.
        """
        return self._find(image_id) is not None

    def missing(self, image_ids: Iterable[str]) -> list[str]:
        """List the images that have no picture, without reading any.

        Args:
            image_ids: The images; one that comes several times counts once.

        Returns:
            The ids without a picture, in their order.

        Raises:
            UserError: As `has`.
        """
        return [image_id for image_id in dict.fromkeys(image_ids) if not self.has(image_id)]

    def picture(self, image_id: str, least_side: int | None = None) -> Image.Image:
        """Read a picture.

        Args:
            image_id: The image, `<store>/<name>` or `<name>`.
            least_side: The number of pixels that the shorter side is needed with; see `read_picture`.

        Returns:
            The picture in mode RGB, upright.

        Raises:
            UserError: As `has`; or there is no such picture, or it cannot be read or is damaged.
        """
        path = self._find(image_id)
        if path is None:
            store, _, name = image_id.rpartition("/")
            raise UserError(
                f"{self.folder / store}: holds no picture of image '{printable(image_id)}'; put {printable(name)} with "
                f"{', '.join(PICTURE_SUFFIXES[:-1])} or {PICTURE_SUFFIXES[-1]} there, or choose other examples"
            )
        return read_picture(path, least_side)

    def _find(self, image_id: str) -> Path | None:
        """Find the file of an image's picture, or None if there is none."""
        store, _, name = image_id.rpartition("/")
        if store not in self._files:
            self._files[store] = self._list(store, image_id)
        files = self._files[store]
        stem = picture_stem(name, PICTURE_SUFFIXES)
        found = files.get(name, ())
        if stem is not None:  # the id ends in the file's suffix
            found += tuple(file for file in files.get(stem, ()) if file == name)
        if len(found) > 1:
            raise UserError(
                f"{self.folder / store}: image '{printable(image_id)}' has {len(found)} pictures "
                f"({', '.join(map(printable, found))}); keep one of them"
            )
        return self.folder / store / found[0] if found else None

    def _list(self, store: str, image_id: str) -> dict[str, tuple[str, ...]]:
        """List the picture files of a store by the part of their names before the suffix."""
        if store and not all(part.strip(".") for part in store.split("/")) or "\0" in store or "\\" in store:
            raise UserError(
                f"image id '{printable(image_id)}' leads out of the folder of pictures; write STORE/NAME, a folder and "
                f"a file's name in {self.folder}"
            )
        folder = self.folder / store
        try:
            names = [entry.name for entry in os.scandir(folder) if not entry.is_dir()]
        except OSError as error:
            raise UserError(
                f"{folder}: the folder with the picture of image '{printable(image_id)}' cannot be read "
                f"({error.strerror}); put the pictures there, as {folder}/NAME.jpg, or name the folder that holds them"
            ) from error
        return group_by_stem(names, PICTURE_SUFFIXES)


def picture_stem(name: str, suffixes: Sequence[str]) -> str | None:
    """Cut the suffix of a picture's file off its name.

    Args:
        name: The file's name.
        suffixes: The suffixes of pictures, in small letters.

    Returns:
        The name without its suffix; None if it has none of these, or nothing before it.
    """
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in suffixes else None


def group_by_stem(names: Iterable[str], suffixes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Group the names of files that are pictures by what stands before the suffix.

    Args:
        names: Names of files; others than pictures, and hidden files, are left out.
        suffixes: The suffixes of pictures, in small letters.

    Returns:
        The names, sorted, by stem.
    """
    stems: dict[str, tuple[str, ...]] = {}
    for name in sorted(names):
        stem = picture_stem(name, suffixes)
        if stem is not None and not name.startswith("."):
            stems[stem] = (*stems.get(stem, ()), name)
    return stems
