"""Folders of <image>.npy and <image>_info.npy (the IGLUE release's X101 features, written by MMF's extraction)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from iglue_plugins.data.conversion.images import NO_INFO, SourceImage, image_id, make_image
from iglue_plugins.data.unpickling import load_npy
from iglue_plugins.utils.errors import UserError

VOLTA_FIELDS = {"bbox": "boxes", "image_width": "img_w", "image_height": "img_h"}


class NpySource:
    """Reads images from a folder of .npy files, which may lie in subfolders.

    <image>.npy holds features (n, D); <image>_info.npy holds a dict with bbox (n, 4), image_width and image_height. An
    image without its _info.npy is left out of the store. A file called <name>_info.npy is an image itself if there is a
    <name>_info_info.npy.

    Args:
        path: The folder.
    """

    count_is_exact = True

    def __init__(self, path: Path) -> None:
        self.path = path
        files = set(path.rglob("*.npy"))
        self._files = sorted(
            file.relative_to(path)
            for file in files
            if not file.stem.endswith("_info") or file.with_name(f"{file.stem}_info.npy") in files
        )
        self.size = self.num_images = len(self._files)

    def read(self, start: int) -> Iterator[SourceImage]:
        """Reads the images but the first `start`; see `RegionSource.read`."""
        for relative in self._files[start:]:
            file, name = self.path / relative, relative.with_suffix("").as_posix()
            info_file = file.with_name(f"{file.stem}_info.npy")
            features = load_npy(file)
            where = str(info_file)
            if info_file.exists():
                info = _load_info(info_file)
                fields = {VOLTA_FIELDS[key]: value for key, value in info.items() if key in VOLTA_FIELDS}
                yield make_image(name, {"features": features, **fields}, where)
            else:
                no_boxes = np.zeros((0, 4), dtype=np.float32)
                yield SourceImage(image_id(name, where), where, features, no_boxes, left_out=NO_INFO)


def _load_info(file: Path) -> dict[str, Any]:
    array = load_npy(file)
    info = array.item() if array.shape == () else array
    if not isinstance(info, dict):
        raise UserError(f"{file}: found a {type(info).__name__}, expected a dict with {', '.join(VOLTA_FIELDS)}")
    return info
