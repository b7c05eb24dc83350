"""Hard negatives of retrieval: captions of images that look like an example's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from iglue_plugins.data.regions import RegionLayout, RegionStore
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.progress import progress_bar

MEANS = RegionLayout(global_region=True, max_regions=1)  # the global region is the mean of all regions
READ_AT_ONCE = 128  # images; with 100 regions of 2048 features: 100 MiB
COMPARED_AT_ONCE = 512  # images; with 29,000 others: 60 MiB


class HardNegatives:
    """For an example, a caption of an image drawn from its image's pool of similar ones.

    image_of_example: int64 (examples,), 0 to U - 1. pools: int64 (U, K), the images of each image's pool; -1 fills up
    the end of shorter ones.
    """

    def __init__(self, image_of_example: np.ndarray, pools: np.ndarray) -> None:
        self._image_of_example = image_of_example
        self._pools, self._pool_sizes = pools, (pools >= 0).sum(1)
        self._examples = np.argsort(image_of_example, kind="stable")  # those of an image next to each other
        self._counts = np.bincount(image_of_example)
        self._starts = self._counts.cumsum() - self._counts

    def draw(self, examples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """An example of a similar image for each of these: int64 (B,) -> int64 (B,).

        A pool of one image with one caption takes nothing from the generator.
        """
        own = self._image_of_example[examples]
        image = self._pools[own, rng.integers(self._pool_sizes[own])]
        return self._examples[self._starts[image] + rng.integers(self._counts[image])]


def nearest_images(regions: RegionStore, images: np.ndarray, k: int) -> np.ndarray:
    """The k images most like each of these, nearest first: int64 (U, min(k, U - 1)), numbered as `images` are.

    Images are compared by the Euclidean distance of their regions' mean features (the rule behind hard_negative.pkl).
    images: int64 (U,), different positions in the store. Beside the means, float32 (U, D), memory does not grow with U
    squared: 29,000 images with 2,048 features take 0.5 GiB.
    """
    means = mean_features(regions, images)
    means -= means.mean(0)  # distances stay, and float32 tells smaller ones apart
    half_norms = means.square().sum(1) / 2
    nearest = torch.empty(len(means), min(k, len(means) - 1), dtype=torch.int64)
    for start in progress_bar(iterable=range(0, len(means), COMPARED_AT_ONCE), desc="hard negatives"):
        block = slice(start, start + COMPARED_AT_ONCE)
        closeness = torch.addmm(-half_norms, means[block], means.T)  # larger where the distance is smaller
        closeness.diagonal(start).fill_(-torch.inf)
        nearest[block] = closeness.topk(nearest.shape[1]).indices
    return nearest.numpy()


def mean_features(regions: RegionStore, images: np.ndarray) -> torch.Tensor:
    """The mean of each image's region features, float32 (U, D), read block by block."""
    means = torch.empty(len(images), regions.feature_size)
    for start in progress_bar(iterable=range(0, len(images), READ_AT_ONCE), desc="mean features"):
        block = slice(start, start + READ_AT_ONCE)
        means[block] = regions.gather(images[block], MEANS)["region_features"][:, 0]
    return means


def read_hard_negative_pools(path: Path | str, image_ids: Sequence[str]) -> np.ndarray | None:
    """The pools of these images in VOLTA's hard_negative.pkl: int64 (U, K), numbered as `image_ids` are, -1 at the end.

    The file holds a list of n images, `train_image_list`, and for each of them, in `train_hard_pool` (n, 100), the
    places in that list of the images nearest to it. The image itself, which is one of them, is left out, and so are
    images that are not among these. An image goes by its id without the store's prefix. None: the file lists none of
    these images, so it is of other examples.

    Raises:
        UserError: the file is no such file, lists some of the images only, or has no other one in an image's pool.
    """
    listed, listed_pools = read_pools(Path(path))
    names = [image_id.rpartition("/")[2] for image_id in image_ids]
    place = {name: i for i, name in enumerate(listed)}
    lacking = [name for name in names if name not in place]
    if len(lacking) == len(names):
        return None
    if lacking:
        raise UserError(
            f"{path}: found no pool for {len(lacking)} of {len(names)} images, among them '{lacking[0]}', "
            "expected one for each of them"
        )
    number = {name: i for i, name in enumerate(names)}
    number_of_listed = np.asarray([number.get(name, -1) for name in listed])
    pools = number_of_listed[listed_pools[[place[name] for name in names]]]
    pools[pools == np.arange(len(pools))[:, None]] = -1
    pools = np.take_along_axis(pools, np.argsort(pools < 0, axis=1, kind="stable"), axis=1)
    if (empty := np.flatnonzero(pools[:, 0] < 0)).size:
        raise UserError(
            f"{path}: found none of the other {len(names) - 1} images in the pool of '{names[empty[0]]}', "
            "expected at least one; use all examples, or leave out task.hard_negatives_file"
        )
    return pools


def read_pools(path: Path) -> tuple[list[str], np.ndarray]:
    """Image names, n of them, and their pools, int64 (n, K), of a hard_negative.pkl."""
    from iglue_plugins.data.unpickling import safe_load_file

    content = safe_load_file(path)
    keys = {"train_image_list", "train_hard_pool"}
    if not isinstance(content, dict) or not keys <= content.keys():
        found = f"the keys {sorted(map(str, content))}" if isinstance(content, dict) else type(content).__name__
        raise UserError(f"{path}: found {found}, expected {' and '.join(sorted(keys))}")
    names, pools = [str(name) for name in content["train_image_list"]], np.asarray(content["train_hard_pool"])
    if pools.ndim != 2 or len(pools) != len(names) or not np.isin(pools, np.arange(len(names))).all():
        raise UserError(
            f"{path}: found train_hard_pool {pools.shape}, expected a row for each of the {len(names)} "
            "images, of places in train_image_list"
        )
    return names, pools.astype(np.int64)
