"""The order of an epoch whose batches have texts of similar length, so that little of a batch is padding."""

from __future__ import annotations

import numpy as np


def sort_in_windows(
    order: np.ndarray, lengths: np.ndarray, batch_size: int, window: int, rng: np.random.Generator
) -> np.ndarray:
    """Sort windows of a shuffled order by length, and shuffle the batches of each.

    A window is so many batches as they follow one another. Its examples are sorted by length, those of equal length as
    they were shuffled, and cut into batches anew. Examples that do not fill a batch stay at the end, so that those of a
    smaller last batch, or those that an epoch drops, are drawn whatever their length.

    Args:
        order: (examples,) int64, the shuffled positions of all examples.
        lengths: (examples,) int64, the number of tokens of each example's text.
        batch_size: The number of examples of a batch.
        window: The number of batches of a window; the last one may have fewer.
        rng: The generator that shuffles batches.

    Returns:
        (examples,) int64, the same positions; each batch is `batch_size` of them that follow one another.
    """
    found = order.copy()
    filled = len(order) // batch_size * batch_size
    for start in range(0, filled, window * batch_size):
        examples = order[start : min(start + window * batch_size, filled)]
        by_length = examples[np.argsort(lengths[examples], kind="stable")]
        found[start:][: len(examples)] = rng.permutation(by_length.reshape(-1, batch_size)).ravel()
    return found
