"""Bootstrap resamples of rows' means: clusters of examples and seeds are drawn, the same ones for all rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iglue_plugins.evaluation.clusters import ClusterGroup

DRAWS_AT_ONCE = 1_000_000
DECIMALS = 12  # to which means are rounded, so that a difference of 0 is 0 in every order of summing

Floats = NDArray[np.float64]
RowScores = Mapping[str, Floats]


def resample_means(
    rows: Sequence[RowScores],
    groups: Sequence[ClusterGroup],
    resamples: int,
    seed: int,
    weights: Mapping[str, float] | None = None,
) -> Floats:
    """Draw clusters and seeds with replacement, and compute each row's mean in every resample.

    A row's mean is the mean over its languages of the mean over seeds and examples.

    Args:
        rows: For each row its values by language (seeds, examples), in the order of the groups' examples.
        groups: The clusters of the examples, in each of which the languages are drawn together.
        resamples: The number of resamples.
        seed: The seed of the draws, which depend on nothing else but the number of seeds and the sizes of the groups.
        weights: The weight of each language in every row's mean; None: all languages of a row weigh the same.

    Returns:
        (rows, resamples) float64.
    """
    rng = np.random.default_rng(seed)
    seeds = next(iter(rows[0].values())).shape[0]
    seed_counts = np.concatenate(list(_draw_counts(rng, resamples, seeds)))
    resampled = np.zeros((resamples, len(rows)))
    for group in groups:
        terms, start = _Terms.of_group(rows, group, weights), 0
        for counts in _draw_counts(rng, resamples, group.size):
            drawn = slice(start, start + len(counts))
            over_seeds = np.einsum("dts,ds->dt", terms.means(counts), seed_counts[drawn]) / seeds
            resampled[drawn] += over_seeds @ terms.row_weights
            start = drawn.stop
    return resampled.T.round(DECIMALS)


@dataclass(frozen=True)
class _Terms:
    """The parts of rows' means: the mean in a language, or the sum of those of equal weight and counts in each cluster.

    Attributes:
        sums: (clusters, terms * seeds) the sum of the values in each cluster.
        counts: (clusters, terms) the number of examples in each cluster.
        observed: (terms, seeds) the same over all examples.
        row_weights: (terms, rows) the weight of each term in each row's mean over languages.
    """

    sums: Floats
    counts: Floats
    observed: Floats
    row_weights: Floats

    @classmethod
    def of_group(
        cls, rows: Sequence[RowScores], group: ClusterGroup, weights: Mapping[str, float] | None = None
    ) -> _Terms:
        """Sum the values of rows in the clusters of a group.

        Args:
            rows: The values by language of each row.
            group: The clusters. A row need not have values in its languages.
            weights: The weight of each language in every row's mean; None: all languages of a row weigh the same.
        """
        counts = {language: group.counts(language) for language in sorted(group.clusters)}
        languages_of_terms: dict[tuple[int, float, bytes], list[str]] = {}
        for index, row in enumerate(rows):
            for language in (name for name in counts if name in row):
                weight = 1 / len(row) if weights is None else weights[language]
                languages_of_terms.setdefault((index, weight, counts[language].tobytes()), []).append(language)
        seeds = next(iter(rows[0].values())).shape[0]
        terms = len(languages_of_terms)
        sums, term_counts = np.zeros((group.size, terms, seeds)), np.zeros((group.size, terms))
        row_weights = np.zeros((terms, len(rows)))
        for term, ((index, weight, _), languages) in enumerate(languages_of_terms.items()):
            for language in languages:
                sums[:, term] += _sum_by_cluster(rows[index][language], group, language)
            term_counts[:, term] = counts[languages[0]]
            row_weights[term, index] = weight
        observed = sums.sum(axis=0) / term_counts.sum(axis=0)[:, None]
        return cls(sums.reshape(group.size, -1), term_counts, observed, row_weights)

    def means(self, draws: Floats) -> Floats:
        """Compute the means of resamples.

        Args:
            draws: (resamples, clusters) how often each cluster is drawn.

        Returns:
            (resamples, terms, seeds) float64, the observed mean where no example is drawn.
        """
        counts = (draws @ self.counts)[:, :, None]
        sums = (draws @ self.sums).reshape(len(draws), *self.observed.shape)
        means = np.broadcast_to(self.observed, sums.shape).copy()
        return np.divide(sums, counts, out=means, where=counts > 0)


def _sum_by_cluster(values: Floats, group: ClusterGroup, language: str) -> Floats:
    """Sum values (seeds, examples) in each cluster: (clusters, seeds)."""
    clusters = group.clusters[language]
    return np.stack([np.bincount(clusters, of_seed, minlength=group.size) for of_seed in values], axis=1)


def _draw_counts(rng: np.random.Generator, resamples: int, size: int) -> Iterator[Floats]:
    """Draw resamples of `size` items.

    Yields:
        Blocks (block, size) float64: how often each item is drawn in `size` draws.
    """
    block = max(1, DRAWS_AT_ONCE // size)
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = rng.integers(size, size=(rows, size)) + size * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size).astype(np.float64)
