"""Region features: locations, the global region, padding, and the store in memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from iglue_plugins.data.regions import InMemoryRegions, RegionLayout, apply_layout
from iglue_plugins.utils.errors import UserError

BOXES_ONLY = RegionLayout(global_region=False)


@pytest.fixture
def images() -> dict[str, torch.Tensor]:
    """Two images, 200 x 100 and 100 x 100 pixels, with two regions and one."""
    return {
        "features": torch.tensor([[[1.0, 2], [3, 6]], [[5, 7], [0, 0]]]),
        "boxes": torch.tensor([[[0.0, 0, 200, 100], [50, 25, 150, 75]], [[0, 0, 50, 10], [0, 0, 0, 0]]]),
        "sizes": torch.tensor([[200.0, 100], [100, 100]]),
        "mask": torch.tensor([[1, 1], [1, 0]]),
    }


def test_locations_are_shares_of_the_image(images: dict[str, torch.Tensor]) -> None:
    five = apply_layout(**images, layout=RegionLayout(global_region=False))["region_locations"]
    assert five[0].tolist() == [[0, 0, 1, 1, 1], [0.25, 0.25, 0.75, 0.75, 0.25]]
    seven = apply_layout(**images, layout=RegionLayout(global_region=False, location_size=7))["region_locations"]
    assert seven[0].tolist() == [[0, 0, 1, 1, 1, 1, 1], [0.25, 0.25, 0.75, 0.75, 0.5, 0.5, 0.25]]
    assert five.dtype == seven.dtype == torch.float32


@pytest.mark.parametrize("location_size", [5, 7])
def test_the_global_region_is_the_mean_at_the_whole_image(images: dict[str, torch.Tensor], location_size: int) -> None:
    regions = apply_layout(**images, layout=RegionLayout(location_size=location_size))
    assert regions["region_features"].tolist() == [[[2, 4], [1, 2], [3, 6]], [[5, 7], [5, 7], [0, 0]]]
    assert regions["region_locations"][:, 0].tolist() == 2 * [[0, 0] + (location_size - 2) * [1]]
    assert regions["region_locations"][1, 2].tolist() == location_size * [0]  # padding
    assert regions["region_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]


def test_the_first_regions_are_kept_and_the_global_one_is_the_mean_of_all(images: dict[str, torch.Tensor]) -> None:
    kept = apply_layout(**images, layout=RegionLayout(max_regions=2))
    assert kept["region_features"].tolist() == [[[2, 4], [1, 2]], [[5, 7], [5, 7]]]
    assert {key: value.shape[1] for key, value in kept.items()} == dict.fromkeys(kept, 2)
    assert apply_layout(**images, layout=RegionLayout(False, 5, 1))["region_features"].tolist() == [[[1, 2]], [[5, 7]]]


def test_a_location_size_that_no_model_reads_is_refused() -> None:
    with pytest.raises(UserError, match="^region_location_size: it is 6, .* 5 .* or 7"):
        RegionLayout(location_size=6)


def test_regions_are_padded_to_the_largest_number_in_the_batch(make_store: Callable[..., InMemoryRegions]) -> None:
    store = make_store({"a": [[1, 2]], "b": [[3, 4], [5, 6]], "c": [[7, 7], [8, 8], [9, 9]]})
    regions = store.gather(store.index(["b", "a", "b"]), BOXES_ONLY)
    assert regions["region_features"].tolist() == [[[3, 4], [5, 6]], [[1, 2], [0, 0]], [[3, 4], [5, 6]]]
    assert regions["region_mask"].tolist() == [[1, 1], [1, 0], [1, 1]]
    assert regions["region_locations"][1].tolist() == [pytest.approx([0.1, 0.2, 0.3, 0.4, 0.04]), [0, 0, 0, 0, 0]]
    assert {key: value.dtype for key, value in regions.items()} == {
        "region_features": torch.float32,
        "region_locations": torch.float32,
        "region_mask": torch.int64,
    }
    assert store.gather(store.index(["a"]), BOXES_ONLY)["region_features"].shape == (1, 1, 2)
    assert store.gather(store.index(["a", "c"]))["region_features"].shape == (2, 4, 2)


def test_adding_more_images_keeps_the_positions_of_the_first(make_store: Callable[..., InMemoryRegions]) -> None:
    store = make_store({"a": [[1, 2]], "b": [[3, 4]]})
    before = store.index(["b", "a"])
    features, boxes = np.full((3, 2), 9, dtype=np.float32), np.zeros((3, 4), dtype=np.float32)
    store.add({"c": (features, boxes)}, 100, 100)
    assert store.index(["b", "a"]).tolist() == before.tolist()
    assert store.gather(before, BOXES_ONLY)["region_features"].tolist() == [[[3, 4]], [[1, 2]]]
    assert store.gather(store.index(["c"]), BOXES_ONLY)["region_features"].tolist() == [[[9, 9]] * 3]
    assert store.index(["c"]).dtype == np.int64


def test_an_unknown_image_is_named(make_store: Callable[..., InMemoryRegions]) -> None:
    with pytest.raises(UserError, match="^image 'x/7' has no region features among the 2 images "):
        make_store({"a": [[1, 2]], "b": [[3, 4]]}).index(["a", "x/7"])
