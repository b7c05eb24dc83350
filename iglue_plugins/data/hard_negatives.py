"""Hard negatives of retrieval: captions of images that look like the image of an example."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from iglue_plugins.data.processors.base import PreparedImages
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.progress import progress_bar
from iglue_plugins.utils.text import is_utf8

COMPARISON_BLOCK_SIZE = 512  # images; their distances to 29,000 others take 60 MiB


class HardNegatives:
    """Draws, for an example, a caption of an image that looks like the image of the example.

    Args:
        image_of_example: (examples,) int64, the number of each example's image, from 0 to U - 1.
        pools: (U, K) int64, the numbers of the similar images of each image; shorter pools end with -1.
    """

    def __init__(self, image_of_example: np.ndarray, pools: np.ndarray) -> None:
        self._image_of_example = image_of_example
        self._pools, self._pool_sizes = pools, (pools >= 0).sum(1)
        self._examples = np.argsort(image_of_example, kind="stable")  # the examples of an image stand side by side
        self._counts = np.bincount(image_of_example)
        self._starts = self._counts.cumsum() - self._counts

    def draw(self, examples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draws a hard negative for each example: an image of its image's pool, then a caption of that image.

        A pool of one image with one caption takes nothing from the generator.

        Args:
            examples: (B,) int64, positions of examples.
            rng: The generator to draw from.

        Returns:
            (B,) int64, the position of an example whose caption is the hard negative.
        """
        images = self._image_of_example[examples]
        similar_images = self._pools[images, rng.integers(self._pool_sizes[images])]
        return self._examples[self._starts[similar_images] + rng.integers(self._counts[similar_images])]


def nearest_images(source: PreparedImages, images: np.ndarray, k: int) -> np.ndarray:
    """Finds the k nearest images of each image, by the Euclidean distance of their descriptors.

    Memory is that of the descriptors and does not grow with U squared: 29,000 images with 2,048 features take 0.5 GiB.

    Args:
        source: The images as a model reads them.
        images: (U,) int64, different positions in `source`.
        k: The number of nearest images.

    Returns:
        (U, min(k, U - 1)) int64, the nearest image first; images are numbered by their place in `images`.

    Source:
        The rule behind hard_negative.pkl in VOLTA, which compares the mean features of an image's regions.
    """
    vectors = source.descriptors(images)
    vectors = vectors - vectors.mean(0)  # centering keeps the distances, and lets float32 resolve smaller ones
    half_norms = vectors.square().sum(1) / 2
    nearest = torch.empty(len(vectors), min(k, len(vectors) - 1), dtype=torch.int64)
    for start in progress_bar(iterable=range(0, len(vectors), COMPARISON_BLOCK_SIZE), desc="hard negatives"):
        block = slice(start, start + COMPARISON_BLOCK_SIZE)
        closeness = torch.addmm(-half_norms, vectors[block], vectors.T)  # larger where the distance is smaller
        closeness.diagonal(start).fill_(-torch.inf)
        nearest[block] = closeness.topk(nearest.shape[1]).indices
    return nearest.numpy()


def read_hard_negative_pools(path: Path | str, image_ids: Sequence[str]) -> np.ndarray | None:
    """Reads the pools of some images from VOLTA's hard_negative.pkl.

    The file holds a list of n images, `train_image_list`, and for each of them in `train_hard_pool`, (n, 100), the
    places in that list of the images nearest to it. The image itself, which is one of them, is left out of its pool,
    and so are images that are not among `image_ids`. The file names images without the store's prefix.

    Args:
        path: The file.
        image_ids: The ids of U images.

    Returns:
        (U, K) int64, numbers of images by their place in `image_ids`; shorter pools end with -1. None if the file
        lists none of the images, since it then belongs to other examples.

    Raises:
        UserError: The file is not such a file, lists only some of the images, or a pool holds none of the other images.
    """
    listed_names, listed_pools = read_pool_file(Path(path))
    names = [image_id.rpartition("/")[2] for image_id in image_ids]
    place_of_name = {name: i for i, name in enumerate(listed_names)}
    missing = [name for name in names if name not in place_of_name]
    if len(missing) == len(names):
        return None
    if missing:
        raise UserError(
            f"{path}: lists no pool for {len(missing)} of {len(names)} images, among them '{missing[0]}'; use a file "
            "with all images of the examples, or leave out task.hard_negatives_file"
        )
    number_of_name = {name: i for i, name in enumerate(names)}
    number_of_place = np.asarray([number_of_name.get(name, -1) for name in listed_names])
    pools = number_of_place[listed_pools[[place_of_name[name] for name in names]]]
    pools[pools == np.arange(len(pools))[:, None]] = -1
    pools = np.take_along_axis(pools, np.argsort(pools < 0, axis=1, kind="stable"), axis=1)
    if (empty := np.flatnonzero(pools[:, 0] < 0)).size:
        raise UserError(
            f"{path}: the pool of image '{names[empty[0]]}' holds none of the other {len(names) - 1} images of the "
            "examples; use all examples, or leave out task.hard_negatives_file"
        )
    return pools


def read_pool_file(path: Path) -> tuple[list[str], np.ndarray]:
    """Reads all of a hard_negative.pkl.

    Args:
        path: The file.

    Returns:
        The names of n images, and their pools, (n, K) int64, as places in that list.

    Raises:
        UserError: The file cannot be read, or lacks the names or the pools, or they do not fit each other.
    """
    from iglue_plugins.data.unpickling import safe_load_file

    content = safe_load_file(path)
    keys = {"train_image_list", "train_hard_pool"}
    if not isinstance(content, dict) or not keys <= content.keys():
        found = (
            f"has the keys {sorted(map(str, content))}"
            if isinstance(content, dict)
            else f"is a {type(content).__name__}"
        )
        raise UserError(f"{path}: {found}; it has to be a dict with {' and '.join(sorted(keys))}")
    images, pool = content["train_image_list"], content["train_hard_pool"]
    names = list(images) if isinstance(images, list | np.ndarray) else []
    try:
        pools = np.asarray(pool)
    except ValueError:  # rows of different lengths
        pools = np.zeros(0)
    if not all(isinstance(name, int | np.integer) or (isinstance(name, str) and is_utf8(name)) for name in names):
        raise UserError(
            f"{path}: train_image_list has names that are neither text nor whole numbers; give VOLTA's file"
        )
    if pools.ndim != 2 or len(pools) != len(names) or not np.isin(pools, np.arange(len(names))).all():
        raise UserError(
            f"{path}: train_hard_pool of shape {pools.shape} does not fit the {len(names)} images of train_image_list; "
            "it needs a row for each image, with places in that list"
        )
    return [str(name) for name in names], pools.astype(np.int64)
