"""Anchors: those of a cell and of a whole map, as detectron2 makes them."""

from __future__ import annotations

import torch
from torch import Tensor

from iglue_plugins.models.detector.anchors import cell_anchors, grid_anchors

RATIOS = (0.5, 1, 2)


def test_anchors_of_a_cell_are_the_references(geometry: dict[str, Tensor]) -> None:
    assert torch.equal(cell_anchors((64, 128, 256, 512), RATIOS), geometry["anchors.cell_64_128_256_512"])
    assert torch.equal(cell_anchors((24, 48, 96, 192), RATIOS), geometry["anchors.cell_tiny"])


def test_anchors_of_a_map_are_the_references(geometry: dict[str, Tensor]) -> None:
    grid = grid_anchors(geometry["anchors.cell_64_128_256_512"], 3, 4, 16)
    assert torch.equal(grid, geometry["anchors.grid_3x4"])


def test_an_anchor_has_the_size_and_ratio_that_are_asked_for() -> None:
    x1, y1, x2, y2 = cell_anchors((10, 20), (0.25, 4)).double().unbind(1)
    width, height = x2 - x1, y2 - y1
    torch.testing.assert_close(width * height, torch.tensor([100.0, 100, 400, 400], dtype=torch.float64))
    torch.testing.assert_close(height / width, torch.tensor([0.25, 4, 0.25, 4], dtype=torch.float64))
    assert torch.equal(x1, -x2) and torch.equal(y1, -y2)
