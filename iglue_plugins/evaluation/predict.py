"""A model's logits on a task's examples, by one process or by several that a launcher started.

Each example is scored by one process only, in the batch that it would be in if there were one process, so that the
outcome does not depend on their number.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.utils.distributed import all_reduce_sum, shard
from iglue_plugins.utils.progress import progress_bar

TEXT = ("input_ids", "attention_mask")


def on_device(batch: Batch, device: torch.device) -> Batch:
    return {key: value.to(device) for key, value in batch.items()}


def blocks(count: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


@torch.inference_mode()
def classify(model: PreTrainedModel, batcher: Batcher, batch_size: int, outputs: int | None = None) -> Tensor:
    """Logits of every example, float32 (examples, outputs), in the batcher's order; batches are bucketed by length.

    outputs: how many logits an example has; default: one for each of the task's labels.
    """
    model.eval()
    order = np.argsort(batcher.texts.lengths, kind="stable")
    logits = torch.zeros(len(order), outputs or batcher.task.num_labels, device=model.device)
    for block in progress_bar(iterable=shard(blocks(len(order), batch_size)), unit="batch"):
        batch = on_device(batcher.batch(order[block]), model.device)
        logits[block] = model(**batch).float().view(block.stop - block.start, -1)
    return all_reduce_sum(logits)[np.argsort(order)]


@torch.inference_mode()
def match_all(model: PreTrainedModel, batcher: Batcher, images: np.ndarray, batch_size: int) -> np.ndarray:
    """Matching scores of every caption with every image, float32 (captions, images).

    images: int64 (images,), positions in the region store. A block of images is read once and meets all captions, the
    shortest first, as many at a time as make batch_size pairs: one, of its own length, where the images fill a batch.
    Captions and images are embedded once where the model can do so ahead (`embed_ahead`); the pairs take nothing from
    the host. But for the scores, memory does not grow with the number of pairs. Captions with the same text share their
    scores, so that they tie.
    """
    model.eval()
    _, distinct, same = np.unique(batcher.dataset["text"][:], return_index=True, return_inverse=True)
    order = np.argsort(batcher.texts.lengths[distinct], kind="stable")
    columns = blocks(len(images), math.ceil(len(images) / math.ceil(len(images) / batch_size)))
    rows = shard(blocks(len(order), max(1, batch_size // columns[0].stop)))
    embed = getattr(model, "embed_ahead", dict)
    padded = (dict(zip(TEXT, batcher.texts.pad(distinct[order[row]]))) for row in rows)
    texts = [embed(on_device(text, model.device)) for text in padded]
    scores = torch.zeros(len(order), len(images), device=model.device)
    with progress_bar(total=len(columns) * len(rows), unit="batch") as progress:
        for column in columns:
            regions = embed(on_device(batcher.task.regions.gather(images[column], batcher.layout), model.device))
            for row, text in zip(rows, texts):
                logits = model(**pair_grid(text, regions))
                scores[row, column] = logits.float().view(row.stop - row.start, column.stop - column.start)
                progress.update()
    return all_reduce_sum(scores).numpy()[np.argsort(order)[same]]


def pair_grid(texts: Batch, regions: Batch) -> Batch:
    """Every text with every image, text by text: T texts and I images as T * I rows. One text copies no regions."""
    images, count = len(regions["region_mask"]), len(texts["attention_mask"])
    rows = {key: value.repeat_interleave(images, 0) for key, value in texts.items()}
    return rows | {key: value.expand(count, *value.shape).flatten(0, 1) for key, value in regions.items()}
