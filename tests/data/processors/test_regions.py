"""Models over regions read a task's images by their configuration and by what the task says of regions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.processors import regions
from iglue_plugins.data.processors.regions import RegionImages, RegionProcessor, mean_features
from iglue_plugins.data.regions import InMemoryRegions, RegionLayout
from iglue_plugins.tasks.xflickrco import XFlickrCO
from iglue_plugins.utils.errors import UserError

IMAGES = {"a": [[0, 0]], "b": [[1, 1], [3, 5]], "c": [[8, 8]], "d": [[3, 3], [0, 6], [6, 0]]}
MakeStore = Callable[..., InMemoryRegions]


def facts(max_boxes: int | None, takes_a_box: bool = False, store: InMemoryRegions | None = None) -> SimpleNamespace:
    """What a processor asks of a task."""
    return SimpleNamespace(
        name="toy", max_text_length=9, max_boxes=max_boxes, global_region_takes_a_box=takes_a_box, regions=store
    )


@pytest.mark.parametrize(
    ("configured", "task", "expected"),
    [
        ({}, facts(36), RegionLayout(True, 5, 37)),
        ({}, facts(36, takes_a_box=True), RegionLayout(True, 5, 36)),
        ({}, facts(None), RegionLayout(True, 5, None)),
        ({"location_size": 7}, facts(36), RegionLayout(True, 7, 37)),
        ({"global_region": False}, facts(36), RegionLayout(False, 5, 36)),
        ({"global_region": False}, facts(36, takes_a_box=True), RegionLayout(False, 5, 36)),
        ({"global_region": False, "location_size": 7}, facts(None, takes_a_box=True), RegionLayout(False, 7, None)),
    ],
)
@pytest.mark.parametrize("has_gpu", [True, False])
def test_the_layout_follows_the_models_configuration_the_task_and_the_device(
    configured: dict[str, object],
    task: SimpleNamespace,
    expected: RegionLayout,
    has_gpu: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert RegionProcessor(None, **configured).layout(task) == replace(expected, as_stored=has_gpu)


@pytest.mark.parametrize(
    ("configured", "features"),
    [
        ({}, [[[0, 0], [0, 0], [0, 0]], [[2, 3], [1, 1], [3, 5]]]),
        ({"global_region": False}, [[[0, 0], [0, 0]], [[1, 1], [3, 5]]]),
    ],
)
def test_the_image_side_is_what_the_layout_says(
    make_store: MakeStore, configured: dict[str, object], features: list
) -> None:
    images = RegionProcessor(None, **configured).prepare_images(facts(2, store=make_store(IMAGES)))
    positions = images.index(["a", "b"])
    inputs = images.inputs(positions)
    assert (inputs.rows, set(inputs)) == (2, {"region_features", "region_locations", "region_mask"})
    assert inputs["region_features"].tolist() == features
    assert inputs["region_mask"].sum(1).tolist() == [len(features[0]) - 1, len(features[0])]
    assert images.inputs(images.index(["d"]))["region_mask"].shape == (1, len(features[0])), "no more than max_boxes"


def test_an_image_without_features_is_named(make_store: MakeStore) -> None:
    images = RegionProcessor(None).prepare_images(facts(2, store=make_store(IMAGES)))
    with pytest.raises(UserError, match="^image 'zebra' has no region features among the 4 images"):
        images.index(["a", "zebra"])


def test_counting_objects_reads_no_features(
    make_batcher: Callable[..., Batcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [(str(10 + i), [image_id], "match") for i, image_id in enumerate("abcd")]
    batcher = make_batcher(XFlickrCO, rows, IMAGES)
    monkeypatch.delattr(type(batcher.task.regions), "gather")
    assert batcher.image_source.object_counts(batcher.images[:, 0]).tolist() == [1, 2, 1, 3]


@pytest.mark.parametrize(
    ("layout", "counts"),
    [
        (RegionLayout(), [1, 2, 1, 3]),
        (RegionLayout(True, 5, 3), [1, 2, 1, 2]),
        (RegionLayout(False, 7, 2), [1, 2, 1, 2]),
        (RegionLayout(False, 7, 1), [1, 1, 1, 1]),
    ],
)
def test_regions_that_the_model_reads_are_counted_as_it_masks_them(
    make_store: MakeStore, layout: RegionLayout, counts: list[int]
) -> None:
    images = RegionImages(make_store(IMAGES), layout)
    positions = images.index("abcd")
    assert images.region_counts(positions).tolist() == counts
    masked = images.inputs(positions)["region_mask"].sum(1) - int(layout.global_region)
    assert masked.tolist() == counts


@pytest.mark.parametrize("layout", [RegionLayout(), RegionLayout(False, 7, 1)])
def test_an_image_is_described_by_the_mean_of_all_its_regions(make_store: MakeStore, layout: RegionLayout) -> None:
    store = make_store(IMAGES)
    found = RegionImages(store, layout).descriptors(store.index("dba"))
    assert found.tolist() == [[3, 3], [2, 3], [0, 0]]
    assert found.dtype == torch.float32


def test_means_do_not_depend_on_the_size_of_a_block(make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_store(IMAGES)
    expected = mean_features(store, np.arange(4))
    monkeypatch.setattr(regions, "READ_BLOCK_SIZE", 3)
    assert torch.equal(mean_features(store, np.arange(4)), expected)
