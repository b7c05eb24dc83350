"""RoI max pooling, against the reference's results and against its definition bin by bin."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from iglue_plugins.models.detector.roi_pooling import roi_pool


@pytest.mark.parametrize("image", [0, 1])
def test_pooled_maps_are_the_references(geometry: dict[str, Tensor], image: int) -> None:
    """Boxes that are reversed, a point, outside, half outside, cut cells in halves, or have float32's bins."""
    rows = geometry["roi_pool.rois_batch_x1y1x2y2"]
    rows, expected = rows[rows[:, 0] == image, 1:], geometry["roi_pool.out_float32"][rows[:, 0] == image]
    assert torch.equal(roi_pool(geometry["roi_pool.map"][image], rows), expected)


def test_bins_are_those_of_float32(geometry: dict[str, Tensor]) -> None:
    """Of boxes of 31, 57 and 62 cells an edge of a bin falls a cell beside its exact place."""
    rows, feature_maps = geometry["roi_pool.rois_batch_x1y1x2y2"], geometry["roi_pool.map"]
    exact = torch.stack([roi_pool(feature_maps[int(row[0])], row[None, 1:].double())[0] for row in rows])
    differs = (exact != geometry["roi_pool.out_float32"]).flatten(1).any(1)
    assert differs.nonzero()[:, 0].tolist() == [11, 12, 15]


def test_a_small_map_is_pooled_as_the_reference_does(geometry: dict[str, Tensor]) -> None:
    boxes = geometry["roi_pool_small.rois_batch_x1y1x2y2"][:, 1:]
    found = roi_pool(geometry["roi_pool_small.map"][0], boxes, output=3, scale=1.0)
    assert torch.equal(found, geometry["roi_pool_small.out_3x3_scale_1"])


def slow_roi_pool(features: np.ndarray, boxes: np.ndarray, output: int, scale: float) -> np.ndarray:
    def round_as_c(value: float) -> int:
        return int(math.copysign(math.floor(abs(value) + 0.5), value))

    def bins(low: np.float32, high: np.float32, cells: int) -> list[slice]:
        first, last = round_as_c(float(low * np.float32(scale))), round_as_c(float(high * np.float32(scale)))
        size = np.float32(max(last - first + 1, 1)) / np.float32(output)
        edges = [(math.floor(np.float32(k) * size), math.ceil(np.float32(k + 1) * size)) for k in range(output)]
        return [slice(*np.clip([begin + first, end + first], 0, cells)) for begin, end in edges]

    pooled = np.zeros((len(boxes), len(features), output, output), dtype=features.dtype)
    for place, (x1, y1, x2, y2) in enumerate(boxes):
        for row, rows in enumerate(bins(y1, y2, features.shape[1])):
            for column, columns in enumerate(bins(x1, x2, features.shape[2])):
                window = features[:, rows, columns]
                if window.size:
                    pooled[place, :, row, column] = window.max((1, 2))
    return pooled


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (38, 63), (90, 2)])
@pytest.mark.parametrize("output, scale", [(14, 1 / 16), (7, 1 / 8), (1, 1 / 16)])
def test_random_boxes_are_pooled_as_defined(size: tuple[int, int], output: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(len(str(size)) + output)
    features = torch.randn(3, *size, generator=generator)
    limits = torch.tensor([size[1], size[0], size[1], size[0]]) / scale
    boxes = (torch.rand(60, 4, generator=generator) * 1.6 - 0.3) * limits  # a quarter of them reversed, some outside
    boxes[::3] = (boxes[::3] * 2 * scale).round() / (2 * scale)  # corners in the middle of cells and between them
    expected = slow_roi_pool(features.numpy(), boxes.numpy(), output, scale)
    assert torch.equal(roi_pool(features, boxes, output, scale), torch.from_numpy(expected))


def test_other_types_and_orders_in_memory_are_pooled_alike() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(8, 20, 30, generator=generator).bfloat16()
    boxes = torch.rand(5, 4, generator=generator) * 300
    pooled = roi_pool(features, boxes)
    assert pooled.dtype == torch.bfloat16
    assert torch.equal(pooled.float(), roi_pool(features.float(), boxes))
    channels_last = features[None].contiguous(memory_format=torch.channels_last)[0]
    assert torch.equal(roi_pool(channels_last, boxes), pooled)


def test_a_box_is_pooled_alike_alone_and_among_others() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(4, 38, 63, generator=generator)
    boxes = torch.rand(50, 4, generator=generator) * 900
    assert torch.equal(torch.cat([roi_pool(features, box[None]) for box in boxes]), roi_pool(features, boxes))


def test_no_boxes_give_no_maps() -> None:
    assert roi_pool(torch.ones(4, 5, 6), torch.zeros(0, 4)).shape == (0, 4, 14, 14)
