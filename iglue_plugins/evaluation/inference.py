"""A model's logits on a task's examples, computed by one process or by several that a launcher started.

Each example is in the batch that it would be in if there were one process, and one process computes it, so that the
results do not depend on the number of processes.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from iglue_plugins.data.batching import Batch, Batcher, model_inputs, move_to_device
from iglue_plugins.utils.distributed import all_reduce_sum, shard
from iglue_plugins.utils.progress import progress_bar

TEXT_KEYS = ("input_ids", "attention_mask")


@torch.inference_mode()
def classify(
    model: PreTrainedModel,
    batcher: Batcher,
    batch_size: int,
    num_logits: int | None = None,
    forward_rows: int | None = None,
) -> Tensor:
    """Compute the logits of every example, in batches of texts of similar length.

    Args:
        model: The model, on its device and in its precision.
        batcher: The examples.
        batch_size: Examples in a batch.
        num_logits: The number of logits of an example; default: one for each of the task's labels.
        forward_rows: The largest number of a batch's rows in a forward; default: all. The model has to score each row
            by itself.

    Returns:
        Logits (examples, num_logits), float32, in the batcher's order.
    """
    model.eval()
    order = np.argsort(batcher.texts.lengths, kind="stable")
    logits = torch.zeros(len(order), num_logits or batcher.task.num_labels, device=model.device)
    for block in progress_bar(iterable=shard(_blocks(len(order), batch_size)), unit="batch"):
        batch = move_to_device(model_inputs(batcher.batch(order[block])), model.device)
        parts = [batch] if forward_rows is None else _split_rows(batch, forward_rows)
        found = torch.cat([model(**part).float() for part in parts])
        logits[block] = found.view(block.stop - block.start, -1)
    return all_reduce_sum(logits)[np.argsort(order)]


@torch.inference_mode()
def match_all(model: PreTrainedModel, batcher: Batcher, images: np.ndarray, batch_size: int) -> np.ndarray:
    """Compute the matching score of every caption with every image.

    The regions of a block of images are read once and scored with all captions, the shortest first. Captions and images
    are embedded once if the model has `precompute_embeddings`. Apart from the scores, memory does not grow with the
    number of pairs. Captions with the same text share their scores, so that they tie.

    Args:
        model: A model that scores (caption, image) pairs.
        batcher: The captions.
        images: (images,) int64, positions in the region store.
        batch_size: Pairs in a batch.

    Returns:
        Scores (captions, images), float32.
    """
    model.eval()
    _, distinct, inverse = np.unique(batcher.dataset["text"][:], return_index=True, return_inverse=True)
    order = np.argsort(batcher.texts.lengths[distinct], kind="stable")
    columns = _blocks(len(images), math.ceil(len(images) / math.ceil(len(images) / batch_size)))
    rows = shard(_blocks(len(order), max(1, batch_size // columns[0].stop)))
    embed = getattr(model, "precompute_embeddings", dict)
    padded = (dict(zip(TEXT_KEYS, batcher.texts.pad(distinct[order[row]]), strict=True)) for row in rows)
    texts = [embed(move_to_device(text, model.device)) for text in padded]
    scores = torch.zeros(len(order), len(images), device=model.device)
    with progress_bar(total=len(columns) * len(rows), unit="batch") as progress:
        for column in columns:
            regions = batcher.task.regions.gather(images[column], batcher.layout)
            embedded = embed(move_to_device(regions, model.device))
            for row, text in zip(rows, texts, strict=True):
                logits = model(**pair_grid(text, embedded))
                scores[row, column] = logits.float().view(row.stop - row.start, column.stop - column.start)
                progress.update()
    return all_reduce_sum(scores).numpy()[np.argsort(order)[inverse]]


def pair_grid(texts: Batch, regions: Batch) -> Batch:
    """Pair every text with every image; a single text copies no regions.

    Args:
        texts: Tensors (T, ...), among them `attention_mask`.
        regions: Tensors (I, ...), among them `region_mask`.

    Returns:
        A batch of T * I rows: the first text with all images, then the second text, and so on.
    """
    images, count = len(regions["region_mask"]), len(texts["attention_mask"])
    rows = {key: value.repeat_interleave(images, 0) for key, value in texts.items()}
    return rows | {key: value.expand(count, *value.shape).flatten(0, 1) for key, value in regions.items()}


def _split_rows(batch: Batch, size: int) -> list[Batch]:
    """Split a batch into batches of at most so many rows, without what an example has once, such as its label."""
    count = len(batch["input_ids"])
    rows = {key: value.split(size) for key, value in batch.items() if len(value) == count}
    return [dict(zip(rows, parts, strict=True)) for parts in zip(*rows.values(), strict=True)]


def _blocks(count: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
