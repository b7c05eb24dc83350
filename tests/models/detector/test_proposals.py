"""Proposals from the maps of a region proposal network."""

from __future__ import annotations

import torch
from detector_choices import CELL, check_proposals
from torch import Tensor

from iglue_plugins.models.detector.anchors import grid_anchors
from iglue_plugins.models.detector.boxes import clip, decode
from iglue_plugins.models.detector.proposals import ProposalSettings, propose


def test_proposals_are_the_references(img2: dict[str, Tensor]) -> None:
    check_proposals(img2, "img2", CELL, img2)


def draw_maps(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(12, 5, 7, generator=generator)
    return logits, torch.randn(48, 5, 7, generator=generator)


def test_only_the_best_candidates_are_looked_at() -> None:
    logits, deltas = draw_maps(0)
    floor = logits.flatten().sort(descending=True).values[19]
    settings = ProposalSettings(candidates=20, threshold=0.999, count=1000)
    proposals = propose(logits, deltas, CELL, (80, 112), settings)
    assert 0 < len(proposals.logits) <= 20
    assert (proposals.logits >= floor).all()
    everything = propose(logits, deltas, CELL, (80, 112), ProposalSettings(threshold=0.999, count=1000))
    assert torch.equal(proposals.boxes, everything.boxes[everything.logits >= floor])


def test_of_equal_logits_the_first_row_column_and_anchor_comes_first() -> None:
    """A threshold of 1 removes none, so that all boxes come in their order."""
    _, deltas = draw_maps(1)
    proposals = propose(torch.zeros(12, 5, 7), deltas, CELL, (200, 300), ProposalSettings(threshold=1.0, count=1000))
    in_order = deltas.view(12, 4, 5, 7).permute(2, 3, 0, 1).reshape(-1, 4)
    boxes = clip(decode(in_order, grid_anchors(CELL, 5, 7, 16), (1.0, 1.0, 1.0, 1.0)), (200, 300))
    boxes = boxes[((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)]
    assert len(boxes) > 200
    assert torch.equal(proposals.boxes, boxes)


def test_boxes_outside_of_the_picture_are_no_proposals() -> None:
    logits, deltas = torch.zeros(12, 5, 7), torch.zeros(48, 5, 7)
    deltas[0::4] = 100.0  # a hundred widths to the right
    proposals = propose(logits, deltas, CELL, (80, 112), ProposalSettings())
    assert proposals.boxes.shape == (0, 4) and proposals.logits.shape == (0,)


def test_numbers_that_are_none_are_no_proposals() -> None:
    logits, deltas = draw_maps(2)
    deltas[:, 2] = float("nan")
    proposals = propose(logits, deltas, CELL, (80, 112), ProposalSettings())
    assert len(proposals.boxes) and proposals.boxes.isfinite().all()
