"""Pictures of a folder, read and processed for a vision model, in several processes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from iglue_plugins.data.pictures.folder import group_by_stem
from iglue_plugins.data.pictures.reading import SUFFIXES, PictureError, read_picture
from iglue_plugins.models.extraction.base import UnusablePictureError
from iglue_plugins.models.extraction.picture_sizes import check_size
from iglue_plugins.models.extraction.views import View, ViewFinder
from iglue_plugins.utils.errors import UserError


@dataclass(frozen=True)
class ProcessedPicture:
    """Holds a picture as a vision model reads it, or why it cannot be used.

    Attributes:
        name: The file's name.
        size: Width and height of the picture in pixels.
        view: What part of the picture the pixel values show.
        pixels: (3, height, width) float32; None if the picture cannot be used.
        left_out: Why the picture is left out, if it is.
    """

    name: str
    size: tuple[int, int] = (0, 0)
    view: View | None = None
    pixels: Tensor | None = None
    left_out: str | None = None


class ProcessedPictures:
    """Reads and processes pictures.

    Args:
        folder: The folder.
        names: The files' names.
        processor: The image processor.
    """

    def __init__(self, folder: Path, names: Sequence[str], processor: Any) -> None:
        self.folder = folder
        self.names = names
        self.processor = processor

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> ProcessedPicture:
        """Read and process a picture.

        Args:
            index: Its place among the names.

        Raises:
            UserError: The file cannot be read at all, or the image processor cannot be used.
        """
        name = self.names[index]
        try:
            picture = read_picture(self.folder / name)
            check_size(picture.size)  # of less no view can be measured
            view = self._view_finder.view(*picture.size)
            return ProcessedPicture(name, picture.size, view, torch.from_numpy(self._process(picture)))
        except UnusablePictureError as error:
            return ProcessedPicture(name, left_out=str(error))
        except PictureError as error:
            return ProcessedPicture(name, left_out=f"the picture {error.reason}")

    @cached_property
    def _view_finder(self) -> ViewFinder:
        return ViewFinder(self._process)

    def _process(self, picture: Image.Image) -> np.ndarray:
        """Return the pixel values of a picture, (3, height, width) float32."""
        values = np.asarray(self.processor(images=picture, return_tensors="np")["pixel_values"], dtype=np.float32)
        if values.ndim != 4 or values.shape[:2] != (1, 3):
            raise UserError(
                f"--model: its image processor makes an array of shape {values.shape} of a picture, where one of shape "
                "(1, 3, height, width) is needed; choose another model"
            )
        return values[0]


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
