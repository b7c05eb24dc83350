"""A cache of the scenes' region features, since drawing a training split's scenes takes seconds."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path

import datasets
import numpy as np
import PIL
from numpy.typing import NDArray
from safetensors.numpy import load, save

from iglue_plugins.mini import ASSETS, world
from iglue_plugins.mini.world import Scene
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import read_sealed, seal, write_atomic

Regions = tuple[NDArray[np.float32], NDArray[np.float32]]


def cached_region_features(scenes: Sequence[Scene]) -> list[Regions]:
    """Compute the region features of scenes, or find them in the cache.

    The key of the cache is the scenes, the pictures, the module that draws them, and the versions of NumPy and Pillow.
    A cache that is damaged, or cannot be read or written, is done without.

    Args:
        scenes: The scenes of a split, at least one.

    Returns:
        For each scene what `world.region_features` returns: features (regions, 64) and boxes (regions, 4), float32.
    """
    path = cache_folder() / f"{_key(scenes)}.regions"
    counts = np.cumsum([len(scene.objects) for scene in scenes])
    content = read_sealed(path)
    if content is not None:
        stored = load(content)
        return _split(stored["features"], stored["boxes"], counts)
    computed = [world.region_features(scene) for scene in scenes]
    features, boxes = (np.concatenate(part) for part in zip(*computed, strict=True))
    with contextlib.suppress(UserError):
        write_atomic(path, seal(save({"features": features, "boxes": boxes})))
    return computed


def cache_folder() -> Path:
    """Return the folder of the cache, inside the cache of `datasets`; HF_DATASETS_CACHE moves both."""
    return Path(datasets.config.HF_DATASETS_CACHE) / "iglue_plugins" / "mini"


def _split(features: NDArray[np.float32], boxes: NDArray[np.float32], ends: NDArray[np.int64]) -> list[Regions]:
    return list(zip(np.split(features, ends[:-1]), np.split(boxes, ends[:-1]), strict=True))


def _key(scenes: Sequence[Scene]) -> str:
    digest = hashlib.sha256(repr([np.__version__, PIL.__version__, scenes]).encode())
    for path in (Path(world.__file__), *(ASSETS / name for name in world.ATLASES)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]
