"""How sure a difference between two trainers is."""

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
    """A difference with the bounds of its 95 % interval, all in points (differences of percentages)."""

    difference: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def paired_bootstrap(
    scores_a: Sequence[ArrayLike],
    scores_b: Sequence[ArrayLike],
    *,
    example_ids: Sequence[Sequence[Hashable]] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The difference `a - b` of the mean over languages of the mean score, with its 95 % percentile interval.

    Each resample draws examples and seeds with replacement (Efron and Tibshirani 1993, chapter 13). The draw is paired:
    the same examples for a and b and for every seed, the same seeds for a and b and for every language. Languages with
    the same `example_ids` are translations of one another and draw the same examples, so that a question that is hard
    in all of them is not counted as so many independent ones; other languages draw on their own. With one seed only
    examples are drawn. The percentile interval of a handful of seeds is on the narrow side: the spread of n resampled
    seeds is the sample's times sqrt((n - 1) / n). The order of the languages does not matter.

    Args:
        scores_a: per language (seeds, examples) float in [0, 1]; languages may differ in examples.
        scores_b: the same shapes; entry [s, i] belongs to the same seed and example as in `scores_a`.
        example_ids: per language (examples,) ids in the order of the scores; None if no two languages share examples.

    Raises:
        ValueError: no languages, shapes or numbers of ids that do not fit, or a score outside [0, 1].
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
    """Per language (seeds, examples) a - b, checked."""
    a, b = ([np.asarray(scores, dtype=np.float64) for scores in side] for side in (scores_a, scores_b))
    shapes_a, shapes_b = ([scores.shape for scores in side] for side in (a, b))
    if shapes_a != shapes_b or not shapes_a:
        raise ValueError(f"paired scores need the same languages, seeds and examples, not {shapes_a} and {shapes_b}")
    if any(len(shape) != 2 or 0 in shape or shape[0] != shapes_a[0][0] for shape in shapes_a):
        raise ValueError(f"each language's scores must be (seeds, examples), with the same seeds, not {shapes_a}")
    if not all(((0 <= scores) & (scores <= 1)).all() for scores in a + b):
        raise ValueError("scores must be in [0, 1]")
    return [scores_of_a - scores_of_b for scores_of_a, scores_of_b in zip(a, b)]


def _parallel_groups(
    differences: list[NDArray[np.float64]], example_ids: Sequence[Sequence[Hashable]] | None
) -> list[tuple[NDArray[np.float64], float]]:
    """The mean difference (seeds, examples) of the languages that share their examples, with their share of languages.

    Sorted by content, so that the draws do not depend on the order of the languages.
    """
    ids = [tuple(of_language) for of_language in example_ids] if example_ids is not None else range(len(differences))
    if example_ids is not None and [len(of_language) for of_language in ids] != [d.shape[1] for d in differences]:
        raise ValueError("example_ids must name each example of each language once, in the order of the scores")
    groups: dict[Hashable, list[NDArray[np.float64]]] = {}
    for difference, key in sorted(zip(differences, ids), key=lambda pair: (pair[0].shape, pair[0].tobytes())):
        groups.setdefault(key, []).append(difference)
    return [(np.mean(group, axis=0), len(group) / len(differences)) for group in groups.values()]


def _draw_weights(rng: np.random.Generator, resamples: int, size: int) -> Iterator[NDArray[np.float64]]:
    """Blocks of (block, size) float64 weights: how often each of `size` items is drawn in `size` draws, over `size`."""
    block = max(1, DRAWS_AT_ONCE // size)
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = rng.integers(size, size=(rows, size)) + size * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size) / size
