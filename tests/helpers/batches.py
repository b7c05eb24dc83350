"""Batches that a test makes by hand, and what tests read of batches for the package's own models."""

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


def token_ids(*batches: Batch) -> set[int]:
    """Return the ids of all tokens in the texts and captions of some batches, padding included."""
    texts = [side for batch in batches for side in (batch.text, batch.caption) if side is not None]
    return {token for side in texts for token in side["input_ids"].flatten().tolist()}
