"""Batches that a test makes by hand."""

from __future__ import annotations

import torch
from torch import Tensor

from iglue_plugins.data.batching import Batch
from iglue_plugins.data.inputs import Inputs


def labelled(labels: Tensor) -> Batch:
    """Make a batch of labels alone, for a loss that reads nothing else; its images and texts differ."""
    count = len(labels)
    nothing = Inputs({}, count)
    return Batch(nothing, nothing, nothing, labels, torch.arange(count)[:, None], torch.arange(count))
