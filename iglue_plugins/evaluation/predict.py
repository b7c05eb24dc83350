"""A model's logits on a task's examples."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.progress import bar


def on_device(batch: Batch, device: torch.device) -> Batch:
    return {key: value.to(device) for key, value in batch.items()}


def blocks(order: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(order), size):
        yield order[start : start + size]


@torch.inference_mode()
def classify(model: PreTrainedModel, batcher: Batcher, batch_size: int) -> Tensor:
    """Logits of every example, float (examples, classes), in the batcher's order; batches are bucketed by length."""
    model.eval()
    order = np.argsort(batcher.texts.lengths, kind="stable")
    logits = [model(**on_device(batcher.batch(block), model.device)).float().cpu()
              for block in blocks(order, batch_size)]
    return torch.cat(logits)[torch.from_numpy(np.argsort(order))]


@torch.inference_mode()
def match_all(model: PreTrainedModel, batcher: Batcher, images: np.ndarray, batch_size: int) -> np.ndarray:
    """Matching scores of every caption with every image, float32 (captions, images).

    images: int64 (images,), positions in the region store. Pairs stream caption by caption in the order of their
    lengths, batch_size at a time, so that memory does not grow with their number.
    """
    model.eval()
    captions = np.argsort(batcher.texts.lengths, kind="stable")
    scores = torch.empty(len(captions) * len(images))
    pairs = np.arange(len(scores))
    for block in bar(iterable=list(blocks(pairs, batch_size)), unit="batch"):
        caption, image = np.divmod(block, len(images))
        batch = on_device(batcher.rows(captions[caption], images[image]), model.device)
        scores[block[0] : block[-1] + 1] = model(**batch).float().cpu().squeeze(-1)
    return scores.view(len(captions), len(images)).numpy()[np.argsort(captions)]
