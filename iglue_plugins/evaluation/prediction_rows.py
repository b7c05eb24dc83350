"""The rows of a run's predictions: what the model said of each example, with what a report needs to show of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from datasets import Dataset
from torch import Tensor

from iglue_plugins.tasks.base import Task

TOP_LABELS = 10  # labels whose probabilities are kept of an example, besides the right one
TOP_IMAGES = 10  # images listed in a prediction
DIGITS = 6  # significant ones, of probabilities and similarities
BLOCK = 1024  # examples whose probabilities are computed at once


def label_rows(
    task: Task, dataset: Dataset, logits: Tensor, predictions: Sequence[str], scores: Sequence[float]
) -> list[dict[str, Any]]:
    """Make the rows of labels that a model has given.

    Args:
        task: The task.
        dataset: The examples.
        logits: (examples, labels) floating point.
        predictions: The predicted label of each example.
        scores: The score of each prediction, in [0, 1].

    Returns:
        For each example {"id", "image_ids", "text", "prediction", "label", "score", "probabilities"}. The last are
        those of the ten most probable labels, the most probable first, and then of the right label if it is none of
        these and the model knows it; null stands for one that is not finite.
    """
    columns = (dataset[name][:] for name in ("id", "image_ids", "text", "label"))
    every = zip(*columns, predictions, scores, _probabilities(task, logits, dataset["label"][:]), strict=True)
    return [
        {
            "id": id_,
            "image_ids": images,
            "text": text,
            "prediction": prediction,
            "label": label,
            "score": score,
            "probabilities": probabilities,
        }
        for id_, images, text, label, prediction, score, probabilities in every
    ]


def _probabilities(task: Task, logits: Tensor, labels: Sequence[str]) -> Iterator[dict[str, float | None]]:
    """Yield the probabilities of the best labels of each example and of its own, by label."""
    index = {label: i for i, label in enumerate(task.labels)}
    for start in range(0, len(labels), BLOCK):
        block = logits[start : start + BLOCK].cpu()
        best = block.sort(descending=True, stable=True).indices[:, :TOP_LABELS].tolist()
        probabilities = task.probabilities(block).numpy()
        for label, order, of_example in zip(labels[start : start + BLOCK], best, probabilities, strict=True):
            kept = [*order, *([index[label]] if label in index and index[label] not in order else [])]
            yield {task.labels[i]: _rounded(of_example[i]) for i in kept}


def image_rows(
    dataset: Dataset,
    similarity: np.ndarray,
    images: Sequence[str],
    own: np.ndarray,
    scores: Sequence[float],
    pooled: bool = False,
) -> list[dict[str, Any]]:
    """Make the rows of rankings of images.

    Args:
        dataset: The captions.
        similarity: (captions, images) float, higher is better.
        images: The id of each image.
        own: (captions,) int64, the column of each caption's image.
        scores: The score of each ranking, in [0, 1].
        pooled: Whether a similarity of -inf stands for an image that a caption is not ranked with.

    Returns:
        For each caption {"id", "image_ids", "text", "prediction", "label", "score", "similarities",
        "label_similarity"}: the prediction lists its ten best images, the best first, and the similarities are theirs;
        the last one is that of its own image. Null stands for one that is not finite.
    """
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :TOP_IMAGES].tolist()
    columns = (dataset[name][:] for name in ("id", "image_ids", "text"))
    rows = []
    for id_, image_ids, text, of_caption, ranking, column, score in zip(
        *columns, similarity, order, own.tolist(), scores, strict=True
    ):
        best = [i for i in ranking if not (pooled and np.isneginf(of_caption[i]))]
        rows.append(
            {
                "id": id_,
                "image_ids": image_ids,
                "text": text,
                "prediction": [images[i] for i in best],
                "label": image_ids[0],
                "score": float(score),
                "similarities": [_rounded(of_caption[i]) for i in best],
                "label_similarity": _rounded(of_caption[column]),
            }
        )
    return rows


def _rounded(number: float) -> float | None:
    """Round a number to `DIGITS`; JSON has no number for one that is not finite."""
    return float(f"{number:.{DIGITS}g}") if math.isfinite(number) else None
