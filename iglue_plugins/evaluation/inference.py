"""A model's logits on a task's examples, computed by one process or by several that a launcher started.

Each example is in the batch that it would be in if there were one process, and one process computes it, so that the
results do not depend on the number of processes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.inputs import Inputs
from iglue_plugins.data.loading import read_ahead
from iglue_plugins.models.protocols import EmbedsPairs
from iglue_plugins.utils.distributed import all_reduce_sum, shard
from iglue_plugins.utils.progress import progress_bar


@torch.inference_mode()
def classify(
    model: PreTrainedModel,
    batcher: Batcher,
    batch_size: int,
    num_logits: int | None = None,
    forward_rows: int | None = None,
    workers: int = 0,
) -> Tensor:
    """Compute the logits of every example, in batches of texts of similar length.

    Args:
        model: The model, on its device and in its precision.
        batcher: The examples.
        batch_size: Examples in a batch.
        num_logits: The number of logits of an example; default: one for each of the task's labels.
        forward_rows: The largest number of a batch's rows in a forward; default: all. The model has to score each row
            by itself.
        workers: The number of processes that make batches ahead.

    Returns:
        Logits (examples, num_logits), float32, in the batcher's order.
    """
    model.eval()
    order = np.argsort(batcher.texts.lengths, kind="stable")
    logits = torch.zeros(len(order), num_logits or batcher.task.num_labels, device=model.device)
    blocks = shard(_blocks(len(order), batch_size))
    batches = read_ahead(lambda i: batcher.batch(order[blocks[i]]).inputs, len(blocks), workers)
    for block, inputs in zip(progress_bar(iterable=blocks, unit="batch"), batches, strict=True):
        inputs = inputs.to(model.device)
        parts = [inputs] if forward_rows is None else inputs.split(forward_rows)
        found = torch.cat([model(**part).float() for part in parts])
        logits[block] = found.view(block.stop - block.start, -1)
    return all_reduce_sum(logits)[np.argsort(order)]


@torch.inference_mode()
def match_all(
    model: PreTrainedModel,
    batcher: Batcher,
    images: np.ndarray,
    batch_size: int,
    workers: int = 0,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Compute the matching score of every caption with every image, or with those of its group.

    A dual encoder embeds each caption and each image once. With any other model, a block of images is read once and
    scored with all captions, the shortest first; captions and images are embedded once if the model has
    `precompute_embeddings`. Apart from the scores, memory does not grow with the number of pairs. Captions with the
    same text share their scores, so that they tie.

    Args:
        model: A model that scores (caption, image) pairs.
        batcher: The captions.
        images: (images,) int64, positions of images.
        batch_size: Pairs in a batch; captions or images in a batch of a dual encoder.
        workers: The number of processes that read images ahead.
        groups: (images,) int64, the group of each image. A caption is scored with the images of the group that its own
            image is in. None: with all.

    Returns:
        Scores (captions, images), float32; those that are not computed are -inf.
    """
    model.eval()
    if groups is not None:
        return _match_groups(model, batcher, images, batch_size, workers, groups)
    return _match_captions(model, batcher, np.arange(len(batcher)), images, batch_size, workers)


def _match_groups(
    model: PreTrainedModel, batcher: Batcher, images: np.ndarray, batch_size: int, workers: int, groups: np.ndarray
) -> np.ndarray:
    """Score the captions of each group of images with these images."""
    scores = np.full((len(batcher), len(images)), -np.inf, dtype=np.float32)
    group_of_caption = groups[np.searchsorted(images, batcher.images[:, 0])]
    for group in np.unique(groups):
        captions, columns = np.flatnonzero(group_of_caption == group), np.flatnonzero(groups == group)
        found = _match_captions(model, batcher, captions, images[columns], batch_size, workers)
        scores[np.ix_(captions, columns)] = found
    return scores


def _match_captions(
    model: PreTrainedModel,
    batcher: Batcher,
    captions: np.ndarray,
    images: np.ndarray,
    batch_size: int,
    workers: int,
) -> np.ndarray:
    """Score captions, given by their positions, with all of the images: (captions, images) float32."""
    texts = np.asarray(batcher.dataset["text"][:])[captions]
    _, first, inverse = np.unique(texts, return_index=True, return_inverse=True)
    distinct = captions[first]
    order = np.argsort(batcher.texts.lengths[distinct], kind="stable")
    score = _embedding_scores if getattr(model, "is_dual_encoder", False) else _pair_scores
    scores = score(model, batcher, distinct[order], images, batch_size, workers)
    return scores.numpy()[np.argsort(order)[inverse]]


def _embedding_scores(
    model: PreTrainedModel, batcher: Batcher, texts: np.ndarray, images: np.ndarray, batch_size: int, workers: int
) -> Tensor:
    """Compute the cosine of every text with every image: (texts, images) float32."""
    encoder = cast("EmbedsPairs", model)
    text = _embed(encoder.embed_text, lambda rows: batcher.texts.inputs(texts[rows]), len(texts), batch_size, model)
    image_inputs = batcher.image_source.inputs
    image = _embed(
        encoder.embed_image, lambda rows: image_inputs(images[rows]), len(images), batch_size, model, workers
    )
    return text @ image.T


def _embed(
    embed: Callable[..., Tensor],
    make_inputs: Callable[[slice], Inputs],
    count: int,
    batch_size: int,
    model: PreTrainedModel,
    workers: int = 0,
) -> Tensor:
    """Embed `count` texts or images block by block: (count, size) float32."""
    blocks = shard(_blocks(count, batch_size))
    vectors: Tensor | None = None
    made = read_ahead(lambda i: make_inputs(blocks[i]), len(blocks), workers)
    for block, inputs in zip(progress_bar(iterable=blocks, unit="batch"), made, strict=True):
        found = embed(**inputs.to(model.device)).float()
        if vectors is None:
            vectors = found.new_zeros(count, found.shape[1])
        vectors[block] = found
    return all_reduce_sum(vectors if vectors is not None else _no_vectors(embed, make_inputs, count, model))


def _no_vectors(
    embed: Callable[..., Tensor], make_inputs: Callable[[slice], Inputs], count: int, model: PreTrainedModel
) -> Tensor:
    """Make the zeros of a process that has no block to embed."""
    found = embed(**make_inputs(slice(0, 1)).to(model.device))
    return torch.zeros(count, found.shape[1], device=found.device)


def _pair_scores(
    model: PreTrainedModel, batcher: Batcher, texts: np.ndarray, images: np.ndarray, batch_size: int, workers: int
) -> Tensor:
    """Compute the logit of every text with every image: (texts, images) float32."""
    columns = _blocks(len(images), math.ceil(len(images) / math.ceil(len(images) / batch_size)))
    rows = shard(_blocks(len(texts), max(1, batch_size // columns[0].stop)))
    embed = getattr(model, "precompute_embeddings", lambda inputs: inputs)
    embedded_texts = [embed(batcher.texts.inputs(texts[row]).to(model.device)) for row in rows]
    scores = torch.zeros(len(texts), len(images), device=model.device)
    made = read_ahead(lambda i: batcher.image_source.inputs(images[columns[i]]), len(columns), workers)
    with progress_bar(total=len(columns) * len(rows), unit="batch") as progress:
        for column, image in zip(columns, made, strict=True):
            embedded = embed(image.to(model.device))
            for row, text in zip(rows, embedded_texts, strict=True):
                logits = model(**batcher.processor.collate(*pair_grid(text, embedded)))
                scores[row, column] = logits.float().view(row.stop - row.start, column.stop - column.start)
                progress.update()
    return all_reduce_sum(scores)


def pair_grid(texts: Inputs, images: Inputs) -> tuple[Inputs, Inputs]:
    """Pair every text with every image; a single text copies no image.

    Args:
        texts: The text side of T rows.
        images: The image side of I rows.

    Returns:
        Both sides of T * I rows: the first text with all images, then the second text, and so on.
    """
    return texts.repeat_each(images.rows), images.repeat_all(texts.rows)


def _blocks(count: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
