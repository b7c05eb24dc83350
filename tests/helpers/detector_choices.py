"""Comparison of the detector's proposals and choices of boxes with those of the reference on its pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from iglue_plugins.models.detector.anchors import cell_anchors
from iglue_plugins.models.detector.presets import PRESETS, ImageSize, Preset
from iglue_plugins.models.detector.proposals import ProposalSettings, propose
from iglue_plugins.models.detector.selection import Chosen, select
from iglue_plugins.models.extraction.base import UnusablePictureError

SIZES = {"img0": (120, 176), "img1": (300, 220), "img2": (80, 260)}  # height and width
RESIZED = {"img0": (192, 282), "img1": (262, 192), "img2": (98, 320)}
CELL = cell_anchors((24, 48, 96, 192), (0.5, 1, 2))
FIELDS = {
    "index": ("index", "index"),
    "boxes": ("boxes", "boxes"),
    "classes": ("classes", "objects_id"),
    "scores": ("scores", "objects_conf"),
    "attributes": ("attr_classes", "attrs_id"),
    "attribute_scores": ("attr_scores", "attrs_conf"),
}  # of `Chosen`, in IGLUE's and in Caffe's naming


def choose(preset: Preset, reference: dict[str, Tensor], image: str, first: int | None = None) -> Chosen:
    """Choose among the reference's proposals, or the first of them, by what its heads say."""
    names = ("proposal_boxes", "class_logits", "attr_logits", "box_deltas")
    return select(preset, *(reference[name][:first] for name in names), RESIZED[image], SIZES[image])


def check_proposals(reference: dict[str, Tensor], image: str, cell: Tensor, expected: dict[str, Tensor]) -> None:
    maps = reference["rpn_objectness_map"], reference["rpn_delta_map"]
    proposals = propose(*maps, cell, RESIZED[image], ProposalSettings(count=150))
    assert torch.equal(proposals.logits, expected["proposal_logits"])
    torch.testing.assert_close(proposals.boxes, expected["proposal_boxes"], atol=1e-4, rtol=0)


def check_iglue(reference: dict[str, Tensor], image: str) -> None:
    chosen = choose(PRESETS["iglue-36"], reference, image)
    _check(chosen, {name: reference[f"final36.{iglue}"] for name, (iglue, _) in FIELDS.items()})


def check_caffe(reference: dict[str, Tensor], image: str, count: str, expected: dict[str, Tensor]) -> None:
    """Compare with the entries of `expected` that begin with `count`, '36' or '10_100'."""
    preset = replace(PRESETS[f"caffe-{count.replace('_', '-')}"], size=ImageSize(192, 320, "opencv"))
    chosen = choose(preset, reference, image)
    _check(chosen, {name: expected[f"{count}.{caffe}"] for name, (_, caffe) in FIELDS.items()})


def check_fewer_proposals(reference: dict[str, Tensor], image: str, expected: dict[str, Any]) -> None:
    if expected["kept"] == 36:
        chosen = choose(PRESETS["iglue-36"], reference, image, first=expected["proposals"])
        assert chosen.index.tolist() == expected["index"]
    else:
        with pytest.raises(UnusablePictureError, match="^too few boxes at any threshold$"):
            choose(PRESETS["iglue-36"], reference, image, first=expected["proposals"])


def _check(chosen: Chosen, expected: dict[str, Tensor]) -> None:
    for name, values in expected.items():
        found = getattr(chosen, name)
        if values.is_floating_point():
            torch.testing.assert_close(found, values, atol=2e-5 if name == "boxes" else 1e-6, rtol=0, msg=name)
        else:
            assert torch.equal(found, values), name
