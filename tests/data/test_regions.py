"""Region stores: positions, padding, locations, the global region."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from iglue_plugins.data.regions import InMemoryRegions, normalised_locations, with_global_region
from iglue_plugins.errors import UserError


def test_locations_are_shares_of_the_image() -> None:
    boxes = np.asarray([[0, 0, 200, 100], [50, 25, 150, 75]], dtype=np.float64)
    locations = normalised_locations(boxes, width=200, height=100)
    assert locations.tolist() == [[0, 0, 1, 1, 1], [0.25, 0.25, 0.75, 0.75, 0.25]]
    assert locations.dtype == np.float32


def test_the_global_region_is_the_mean_at_the_whole_image() -> None:
    features = np.asarray([[1, 2], [3, 6]], dtype=np.float32)
    locations = np.asarray([[0, 0, 0.5, 0.5, 0.25], [0.5, 0, 1, 1, 0.5]], dtype=np.float32)
    all_features, all_locations = with_global_region(features, locations)
    assert all_features.tolist() == [[2, 4], [1, 2], [3, 6]]
    assert all_locations.tolist() == [[0, 0, 1, 1, 1], *locations.tolist()]
    assert all_features.dtype == all_locations.dtype == np.float32


def test_regions_are_padded_to_the_most_among_those_asked_for(make_store: Callable[..., InMemoryRegions]) -> None:
    store = make_store({"a": [[1, 2]], "b": [[3, 4], [5, 6]], "c": [[7, 7], [8, 8], [9, 9]]})
    regions = store.gather(store.index(["b", "a", "b"]))
    assert regions["region_features"].tolist() == [[[3, 4], [5, 6]], [[1, 2], [0, 0]], [[3, 4], [5, 6]]]
    assert regions["region_mask"].tolist() == [[1, 1], [1, 0], [1, 1]]
    assert regions["region_locations"][1].tolist() == [pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5]), [0, 0, 0, 0, 0]]
    assert {key: value.dtype for key, value in regions.items()} == {
        "region_features": torch.float32, "region_locations": torch.float32, "region_mask": torch.int64}
    assert store.gather(store.index(["a"]))["region_features"].shape == (1, 1, 2)
    assert store.gather(store.index(["a", "c"]))["region_features"].shape == (2, 3, 2)


def test_adding_more_images_keeps_the_positions_of_the_first(make_store: Callable[..., InMemoryRegions]) -> None:
    store = make_store({"a": [[1, 2]], "b": [[3, 4]]})
    before = store.index(["b", "a"])
    features, locations = np.full((3, 2), 9, dtype=np.float32), np.zeros((3, 5), dtype=np.float32)
    store.add({"c": (features, locations)})
    assert store.index(["b", "a"]).tolist() == before.tolist()
    assert store.gather(before)["region_features"].tolist() == [[[3, 4]], [[1, 2]]]
    assert store.gather(store.index(["c"]))["region_features"].tolist() == [[[9, 9]] * 3]
    assert store.index(["c"]).dtype == np.int64


def test_an_unknown_image_is_named(make_store: Callable[..., InMemoryRegions]) -> None:
    with pytest.raises(UserError, match="^image 'x/7' has no region features among the 2 stored$"):
        make_store({"a": [[1, 2]], "b": [[3, 4]]}).index(["a", "x/7"])
