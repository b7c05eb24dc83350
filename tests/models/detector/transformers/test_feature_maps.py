"""Means of a map over boxes."""

from __future__ import annotations

import pytest
import torch

from iglue_plugins.models.detector.feature_maps import box_means, covered_shares

MAP = torch.tensor([[[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]]])  # (1, 2, 4)


def mean(*box: float, features: torch.Tensor = MAP) -> float:
    return float(box_means(features, torch.tensor([box])))


def test_a_box_of_whole_places_has_their_mean() -> None:
    assert mean(0, 0, 1, 1) == 3.5
    assert mean(0.25, 0, 0.75, 1) == (1 + 2 + 5 + 6) / 4
    assert mean(0.75, 0.5, 1, 1) == 7


def test_a_place_counts_by_the_share_that_lies_in_the_box() -> None:
    assert mean(0, 0, 0.375, 0.5) == pytest.approx((0 * 1 + 1 * 0.5) / 1.5)
    assert mean(0.5, 0.25, 0.75, 1) == pytest.approx((2 * 0.5 + 6 * 1) / 1.5)


def test_a_box_within_a_place_has_its_features() -> None:
    assert mean(0.3, 0.6, 0.4, 0.7) == 5
    above = float(torch.tensor(0.3).nextafter(torch.tensor(1.0)))
    assert mean(0.3, 0.6, above, 0.7) == 5  # the smallest box of float32


def test_boxes_have_the_mean_of_a_finer_map_of_the_same_picture() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(3, 5, 7, generator=generator)
    corners = torch.rand(20, 2, 2, generator=generator).sort(1).values.flatten(1)
    fine = features.repeat_interleave(4, 1).repeat_interleave(6, 2)
    torch.testing.assert_close(box_means(features, corners), box_means(fine, corners))


def test_what_a_mask_covers() -> None:
    mask = torch.zeros(8, 10, dtype=torch.int64)
    mask[:6, :5] = 1
    assert covered_shares(mask).tolist() == [0.5, 0.75]
