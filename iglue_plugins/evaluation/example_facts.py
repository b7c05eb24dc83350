"""What is known of examples, by which scores can be looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from iglue_plugins.data.batching import Batcher
from iglue_plugins.tasks.base import Task


def example_facts(task: Task, batcher: Batcher) -> list[dict[str, int]]:
    """Count what the images of each example show, what the model reads of them, and what the text names.

    Args:
        task: The task, which may know how many objects an image shows, and which concepts training has not seen.
        batcher: The examples. If the model reads regions, its image source has `region_counts`.

    Returns:
        For each example {"objects", "regions", "unseen"}: sums over its images of the objects that they show and of the
        regions that the model reads, without global ones, and the concepts named by the text that training has not
        seen. What is not known is absent.
    """
    found = {
        "objects": _objects(task, batcher.dataset["image_ids"][:]),
        "regions": _regions(batcher),
        "unseen": _unseen(task, batcher.dataset["text"][:], batcher.dataset["language"][:]),
    }
    known = {name: counts for name, counts in found.items() if counts is not None}
    return [{name: counts[position] for name, counts in known.items()} for position in range(len(batcher))]


def _objects(task: Task, image_ids: Sequence[Sequence[str]]) -> list[int] | None:
    """Sum the objects of each example's images; None if the task does not know those of every image."""
    objects: dict[str, int] = {}
    for image_id in (image_id for of_example in image_ids for image_id in of_example):
        if image_id not in objects:
            count = task.object_count(image_id)
            if count is None:
                return None
            objects[image_id] = count
    return [sum(objects[image_id] for image_id in of_example) for of_example in image_ids]


def _regions(batcher: Batcher) -> list[int] | None:
    """Sum the regions that the model reads of each example's images; None if it reads none."""
    count = getattr(batcher.image_source, "region_counts", None)
    if count is None:
        return None
    counts: np.ndarray = count(batcher.images.ravel()).reshape(batcher.images.shape)
    return counts.sum(1).tolist()


def _unseen(task: Task, texts: Sequence[str], languages: Sequence[str]) -> list[int] | None:
    """Count the unseen concepts that each text names; None if the task does not know those of every text."""
    counts = []
    for text, language in zip(texts, languages, strict=True):
        count = task.unseen_count(text, language)
        if count is None:
            return None
        counts.append(count)
    return counts
