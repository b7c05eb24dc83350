"""Evaluation of image-text retrieval: every caption with every image."""

from __future__ import annotations

from typing import Any

import numpy as np
from transformers import PreTrainedModel

from iglue_plugins.data.batching import Batcher
from iglue_plugins.evaluation.inference import classify, match_all
from iglue_plugins.evaluation.metrics import accuracy, retrieval_ranks, retrieval_scores
from iglue_plugins.evaluation.prediction_rows import image_rows

CANDIDATE_BATCH = 64  # examples whose wrong candidates are drawn together, whatever the memory allows


def evaluate_retrieval(
    batcher: Batcher, model: PreTrainedModel, batch_size: int, workers: int = 0, pool: int | None = None
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Score every caption of a split with every image, or with those of its group.

    A caption's score is the mean of two hits: its image ranks first for it, and a caption of that image ranks first for
    the image. `recall@1` is the mean of these scores over captions. It equals the mean of image_recall@1 and
    text_recall@1 where all images have equally many captions; otherwise an image counts in text retrieval as often as
    it has captions. Ties count as misses.

    Args:
        batcher: The split's examples, a caption with its image each.
        model: A model that scores (caption, image) pairs.
        batch_size: Pairs in a batch; captions or images in a batch of a dual encoder.
        workers: The number of processes that read images ahead.
        pool: The number of images of a group: captions and images are ranked within groups of images that follow one
            another in the split. None: among all.

    Returns:
        A prediction for each caption, its best images in order, and the metrics in percent.
    """
    dataset = batcher.dataset
    images, image_of_caption = np.unique(batcher.images[:, 0], return_inverse=True)
    groups = image_groups(batcher.images[:, 0], images, pool)
    similarity = match_all(model, batcher, images, batch_size, workers, groups)
    image_ranks, caption_ranks = retrieval_ranks(similarity, image_of_caption)
    hits = ((image_ranks == 1).astype(float) + (caption_ranks == 1)[image_of_caption]) / 2
    names = dict(zip(image_of_caption.tolist(), (shown[0] for shown in dataset["image_ids"][:]), strict=True))
    ids = [names[i] for i in range(len(images))]
    rows = image_rows(dataset, similarity, ids, image_of_caption, hits.tolist(), pooled=groups is not None)
    return rows, {"recall@1": float(100 * hits.sum() / len(hits)), **retrieval_scores(image_ranks, caption_ranks)}


def image_groups(image_of_caption: np.ndarray, images: np.ndarray, pool: int | None) -> np.ndarray | None:
    """Divide the images of a split, in its order, into groups of the same size; the last one may be smaller.

    Args:
        image_of_caption: (captions,) int64, the position of each caption's image.
        images: (images,) int64, the positions of the images, sorted.
        pool: The size of a group; None for one group of all.

    Returns:
        (images,) int64, the group of each of `images`; None for one group.
    """
    if pool is None or pool >= len(images):
        return None
    _, first = np.unique(image_of_caption, return_index=True)
    return np.argsort(np.argsort(first)) // pool


def candidate_accuracy(
    batcher: Batcher, model: PreTrainedModel, candidates: int, batch_size: int, workers: int = 0
) -> float:
    """Compute how often the true pair of an example has the best score of its candidates.

    Args:
        batcher: The examples, whose batches have the candidates of an example next to each other, the true pair first.
        model: A model that scores (caption, image) pairs.
        candidates: The number of candidates of an example.
        batch_size: (caption, image) pairs in a forward.
        workers: The number of processes that make batches ahead.

    Returns:
        The percentage of examples.

    Source: VOLTA's choice of the best epoch in retrieval (eval_task.py).
    """
    best = classify(model, batcher, CANDIDATE_BATCH, candidates, batch_size, workers).argmax(1)
    return accuracy(best, batcher.targets)
