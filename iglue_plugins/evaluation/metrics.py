"""Metrics as pure functions of arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def accuracy(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Compute the percentage of predictions that equal their labels.

    Args:
        predictions: (examples,) of any dtype that compares with `labels`.
        labels: (examples,).

    Returns:
        The percentage, 0 to 100.

    Raises:
        ValueError: The two have different shapes, or there are no examples.
    """
    predictions, labels = np.asarray(predictions), np.asarray(labels)
    if predictions.shape != labels.shape or labels.ndim != 1 or not labels.size:
        raise ValueError(
            f"predictions have shape {predictions.shape} and labels {labels.shape}; expected two equally long, "
            "non-empty vectors"
        )
    return float(100 * np.sum(predictions == labels) / labels.size)


def retrieval_ranks(similarity: ArrayLike, image_of_caption: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Compute the rank of the right image for each caption, and of the right caption for each image.

    Ties are pessimistic: a wrong candidate with the same score as the right one is ranked before it, and so is one
    whose comparison with it is undefined (NaN). A scorer that gives every pair the same score therefore gets no credit.
    (VOLTA ranks by numpy.argsort, which breaks ties either way.) An image with several captions is ranked by the best
    of them, against the captions of other images only, as in VOLTA. Each caption is a separate query, even if its text
    is that of another image's caption.

    Args:
        similarity: (captions, images) float; higher is more alike.
        image_of_caption: (captions,) int, the column of each caption's image.

    Returns:
        Image ranks (captions,) int64 and caption ranks (images,) int64, from 1 for the best.

    Raises:
        ValueError: The shapes do not fit, an index is out of range, or an image has no caption.
    """
    similarity, image_of_caption = np.asarray(similarity), np.asarray(image_of_caption)
    if similarity.ndim != 2 or image_of_caption.shape != similarity.shape[:1]:
        raise ValueError(
            f"similarity has shape {similarity.shape} and image_of_caption {image_of_caption.shape}; expected "
            "(captions, images) and (captions,)"
        )
    images = np.arange(similarity.shape[1])
    if not np.array_equal(np.unique(image_of_caption), images):
        raise ValueError(
            f"image_of_caption must hold each of the {len(images)} images at least once, and no other number"
        )
    right = image_of_caption[:, None] == images
    right_image = similarity[np.arange(len(similarity)), image_of_caption]
    best_caption = np.where(right, similarity, -np.inf).max(axis=0)
    image_ranks = 1 + (~right & ~(similarity < right_image[:, None])).sum(axis=1)
    caption_ranks = 1 + (~right & ~(similarity < best_caption)).sum(axis=0)
    return image_ranks, caption_ranks


def retrieval_scores(image_ranks: ArrayLike, caption_ranks: ArrayLike) -> dict[str, float]:
    """Compute recall at 1, 5 and 10 and the median rank of both directions.

    Args:
        image_ranks: (captions,) int, the rank of each caption's image, from 1.
        caption_ranks: (images,) int, the rank of each image's best caption, from 1.

    Returns:
        Percentages and ranks by name. Names with `image_` are image retrieval (find the image of a caption), the mean
        over captions; those with `text_` are text retrieval (find a caption of an image), the mean over images. IGLUE's
        tables call them IR and TR.
    """
    scores = {}
    for direction, ranks in (("image", image_ranks), ("text", caption_ranks)):
        scores.update({f"{direction}_recall@{k}": recall_at(ranks, k) for k in (1, 5, 10)})
        scores[f"{direction}_median_rank"] = median_rank(ranks)
    return scores


def recall_at(ranks: ArrayLike, k: int) -> float:
    """Compute recall at k.

    Args:
        ranks: (queries,) int, from 1.
        k: The largest rank that counts as found.

    Returns:
        The percentage of ranks that are at most `k`, 0 to 100.
    """
    found = np.asarray(ranks) <= k
    return float(100 * np.sum(found) / found.size)


def median_rank(ranks: ArrayLike) -> float:
    """Compute the median rank; VOLTA rounds it down, this function does not.

    Args:
        ranks: (queries,) int, from 1.

    Returns:
        The median; for an even number of queries, the mean of the middle two.
    """
    return float(np.median(np.asarray(ranks)))
