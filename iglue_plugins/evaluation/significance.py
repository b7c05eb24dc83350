"""Confidence intervals of the difference between two trainers."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000
COVERAGE = 0.95
DRAWS_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Interval:
    """A difference with the bounds of its 95 % interval, all in points (differences of percentages).

    Attributes:
        difference: The observed difference.
        low: The lower bound.
        high: The upper bound.
    """

    difference: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval is above or below 0."""
        return self.low > 0 or self.high < 0


def paired_bootstrap(
    scores_a: Sequence[ArrayLike],
    scores_b: Sequence[ArrayLike],
    *,
    example_ids: Sequence[Sequence[Hashable]] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Compute the difference of two mean scores with its 95 % percentile interval.

    The mean score is the mean over languages of the mean over seeds and examples. Each resample draws examples and
    seeds with replacement. The draw is paired: the same examples for a and b and for every seed, the same seeds for a
    and b and for every language. Languages with the same `example_ids` are translations of one another and draw the
    same examples, so that a question that is hard in all of them does not count as several independent ones. Other
    languages draw independently. With one seed only examples are drawn. The percentile interval of a handful of seeds
    is on the narrow side: the spread of n resampled seeds is the sample's times sqrt((n - 1) / n). The order of the
    languages does not matter.

    Args:
        scores_a: For each language (seeds, examples) float in [0, 1]; languages may differ in their examples.
        scores_b: The same shapes; entry [s, i] belongs to the same seed and example as in `scores_a`.
        example_ids: For each language (examples,) ids in the order of the scores; None if no two languages share
            examples.
        resamples: The number of resamples.
        seed: The seed of the draws.

    Returns:
        The difference a - b and its interval, in points.

    Raises:
        ValueError: There are no languages, shapes or numbers of ids do not fit, or a score is outside [0, 1].

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    differences = _differences(scores_a, scores_b)
    groups = _parallel_groups(differences, example_ids)
    seeds = differences[0].shape[0]
    observed = sum(group.mean() * weight for group, weight in groups)

    rng = np.random.default_rng(seed)
    seed_weights = np.concatenate(list(_draw_weights(rng, resamples, seeds)))
    per_seed = np.zeros((resamples, seeds))
    for group, weight in groups:
        draws = _draw_weights(rng, resamples, group.shape[1])
        per_seed += weight * np.concatenate([example_weights @ group.T for example_weights in draws])
    resampled = (seed_weights * per_seed).sum(axis=1)
    low, high = np.quantile(resampled, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Interval(100 * float(observed), 100 * float(low), 100 * float(high))


def _differences(scores_a: Sequence[ArrayLike], scores_b: Sequence[ArrayLike]) -> list[NDArray[np.float64]]:
    """Check the scores, and return a - b for each language (seeds, examples)."""
    a, b = ([np.asarray(scores, dtype=np.float64) for scores in side] for side in (scores_a, scores_b))
    shapes_a, shapes_b = ([scores.shape for scores in side] for side in (a, b))
    if shapes_a != shapes_b or not shapes_a:
        raise ValueError(
            f"the scores have shapes {shapes_a} and {shapes_b}; paired scores need the same languages, seeds "
            "and examples"
        )
    if any(len(shape) != 2 or 0 in shape or shape[0] != shapes_a[0][0] for shape in shapes_a):
        raise ValueError(
            f"the scores have shapes {shapes_a}; each language's must be (seeds, examples), with the same seeds"
        )
    if not all(((0 <= scores) & (scores <= 1)).all() for scores in a + b):
        raise ValueError("scores must be in [0, 1]")
    return [scores_of_a - scores_of_b for scores_of_a, scores_of_b in zip(a, b, strict=True)]


def _parallel_groups(
    differences: list[NDArray[np.float64]], example_ids: Sequence[Sequence[Hashable]] | None
) -> list[tuple[NDArray[np.float64], float]]:
    """Group the languages that share their examples.

    Returns:
        For each group its mean difference (seeds, examples) and its share of the languages. Languages are sorted by
        content, so that the draws do not depend on their order.
    """
    keys: list[Hashable] = list(range(len(differences)))
    if example_ids is not None:
        ids = [tuple(language_ids) for language_ids in example_ids]
        if [len(language_ids) for language_ids in ids] != [difference.shape[1] for difference in differences]:
            raise ValueError(
                "example_ids must hold one id for each example of each language, in the order of the scores"
            )
        keys = list(ids)
    groups: dict[Hashable, list[NDArray[np.float64]]] = {}
    for difference, key in sorted(
        zip(differences, keys, strict=True), key=lambda pair: (pair[0].shape, pair[0].tobytes())
    ):
        groups.setdefault(key, []).append(difference)
    return [(np.mean(group, axis=0), len(group) / len(differences)) for group in groups.values()]


def _draw_weights(rng: np.random.Generator, resamples: int, size: int) -> Iterator[NDArray[np.float64]]:
    """Draw resamples of `size` items.

    Yields:
        Blocks (block, size) float64: how often each item is drawn in `size` draws, divided by `size`.
    """
    block = max(1, DRAWS_AT_ONCE // size)
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = rng.integers(size, size=(rows, size)) + size * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size) / size
